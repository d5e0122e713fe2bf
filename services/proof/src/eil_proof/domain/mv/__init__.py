"""Measurement & verification of savings. Pure: arrays and plain values in, figures out. docs/proof.md has the derivations."""
