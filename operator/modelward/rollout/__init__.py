"""What to do next: revisions, phases, and `decide`, a pure function of one observed value."""
