"""Segmentation networks: one contract, DeepLabV2 built in, everyone else's wrapped."""
