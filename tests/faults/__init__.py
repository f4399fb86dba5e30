"""Faults on purpose: what becomes of the operator when it is killed, and when what it talks to fails."""
