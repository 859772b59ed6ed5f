"""Adapts a segmentation network to a new domain from unlabelled frames alone."""
