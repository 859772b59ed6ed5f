"""Inference engines behind one verb."""
