"""`eil nvp`: data, training and publication of field models."""
