"""The ledger under simulation: a seed decides clock, requests, repetitions, order and crashes; a small model says what must come of it."""
