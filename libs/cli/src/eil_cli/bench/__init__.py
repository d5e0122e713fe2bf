"""Benchmarks of the running mesh: measures with gates, goals and baselines."""
