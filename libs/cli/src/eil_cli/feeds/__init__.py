"""What feeds the mesh: this machine, a simulated fleet, recordings."""
