"""`python -m modelward_fetch`, the entry point of the image."""

from modelward_fetch.cli import main

main()
