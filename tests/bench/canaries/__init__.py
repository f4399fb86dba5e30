"""Parts of the benchmark of canaries on a real node."""
