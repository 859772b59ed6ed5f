"""Which network, in which precision, in which engine, for a budget of milliseconds."""
