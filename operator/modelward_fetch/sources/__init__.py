"""Where models are stored: each source resolves a name, lists, and reads bytes; all else is the same for each."""
