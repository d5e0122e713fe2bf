"""Next-state prediction with calibrated intervals."""
