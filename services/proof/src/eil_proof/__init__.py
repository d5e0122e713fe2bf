"""Proof of energy: committed predictions against measurement."""
