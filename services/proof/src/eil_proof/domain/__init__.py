"""Pure: the tri-check and the rules of minting. No clock, no I/O."""
