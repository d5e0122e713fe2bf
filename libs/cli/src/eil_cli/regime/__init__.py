"""The regime detector on recorded series, without a mesh."""
