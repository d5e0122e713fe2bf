"""Sampling guided by an energy and corrected until it is exact."""
