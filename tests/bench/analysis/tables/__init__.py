"""One module per measurement: cases, a table, goals."""
