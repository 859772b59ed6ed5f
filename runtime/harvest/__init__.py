"""Frames worth adapting on, kept within a budget."""
