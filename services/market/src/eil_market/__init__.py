"""Posted prices, quotes and constant-product pools."""
