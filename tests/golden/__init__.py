"""Whole rollouts, reported as text: each story is played once undisturbed and compared with its file in stories/.

Then it is played again with late and shuffled events, and with the operator stopped at every one of its
writes; what must hold is checked after every write (`invariants`), and the end must be the same.
"""
