"""The eil command: run the mesh, feed it, look at it."""
