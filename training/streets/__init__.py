"""Procedural driving scenes in two domains, drawn with exact labels: a data set that needs no download."""
