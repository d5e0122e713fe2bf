"""What a window of a source holds, and how a state is named. Pure: no clock, no I/O, no transport."""
