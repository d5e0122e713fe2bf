"""Energies: typed, documented functions with gradients, and their registry."""
