"""`eil atlas`: maps, samples, segments, objects and checkpoints of a mesh; windows of samples to train on."""
