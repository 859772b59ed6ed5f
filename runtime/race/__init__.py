"""Which of a machine's engines is the fastest for a bundle: measured once, then remembered."""
