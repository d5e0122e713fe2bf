"""Energy-guided sampling and optimisation."""
