"""Model servers: which one serves a model, and what its pod looks like. Built-in ones are objects, not code."""
