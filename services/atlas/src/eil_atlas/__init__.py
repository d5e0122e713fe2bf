"""The memory: states, transitions, shifts, maps, objects."""
