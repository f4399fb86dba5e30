"""Benchmarks of the operator on a real API server: they measure and never gate. See docs/benchmarks.md."""
