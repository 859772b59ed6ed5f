"""Frames to train on: rendered streets, the public data sets, or a plain folder of images."""
