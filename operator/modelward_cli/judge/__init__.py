"""`modelward judge`: the judge on a recorded line protocol."""
