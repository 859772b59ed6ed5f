"""Which settings are compared."""
