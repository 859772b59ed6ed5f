"""Measures bundles against their peers, in the same run and on the same frames."""
