"""The way of an event: observe, decide, record, project, apply, report."""
