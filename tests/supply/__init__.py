"""What the operator is made of: bill of materials, licences, known vulnerabilities. `python -m supply --help`."""
