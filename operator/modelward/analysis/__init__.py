"""The judge: evidence for or against a canary. Pure functions of (policy, state, sample), standard library only."""
