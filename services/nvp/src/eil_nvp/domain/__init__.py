"""Next-state prediction: pure mathematics on NumPy arrays."""
