"""The exact double-entry ledger of CEU, PFT and MUNT."""
