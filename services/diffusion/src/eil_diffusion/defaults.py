"""What a request gets that does not say."""

SAMPLE_STEPS, OPTIMISE_STEPS = 50, 100
"""Steps."""
