"""Newest frame wins: read, segment, check and publish, overlapping, in memory allocated once."""
