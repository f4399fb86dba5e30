"""`python -m modelward` starts the command line, of which nothing else in this package knows."""

from modelward_cli import main

main()
