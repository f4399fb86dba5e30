"""Where the judge's samples come from: the pods themselves, or a server that remembers what it read of them."""
