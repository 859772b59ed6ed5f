"""A bundle in service: everything opened, the loop run, the end told."""
