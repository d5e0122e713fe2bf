"""Next states of 2-D fields: five physical domains, and one learned spectral operator for all of them."""
