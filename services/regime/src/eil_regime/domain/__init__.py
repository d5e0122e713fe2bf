"""What a regime is and how one is found, named and anticipated. Pure: no clock, no I/O, no transport."""
