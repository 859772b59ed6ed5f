"""Adaptation of a network that computes as its INT8 artefact will."""
