"""`eil diffusion`: train energy-guided diffusion models and put them into service."""
