"""One operator of several acts: the Lease, who holds it, and under which name."""
