"""Checkpoints that others published: read without running code, recognised by their layout, loaded whole or refused."""
