"""Pure: plants, candidates, choice. No clock, no I/O."""
