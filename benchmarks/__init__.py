"""Measures bundles and methods against their peers, in the same run and on the same frames."""
