"""Back-tests: the judge on recorded counters, beside the rules of others."""
