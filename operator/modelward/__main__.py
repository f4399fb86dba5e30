"""`python -m modelward` is the command line."""

from modelward.cli import main

main()
