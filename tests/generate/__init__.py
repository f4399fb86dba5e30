"""Files that are made from code: `make generate` writes them, `make verify` fails when one is stale."""
