"""The judge beside its rivals, in simulation: thousands of rollouts at once. See docs/benchmarks.md."""
