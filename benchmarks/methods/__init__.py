"""A grid of settings over seeds on one source network, and the tables and pictures of it."""
