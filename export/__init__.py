"""Freezes an adapted network into artefacts inside one verified bundle."""
