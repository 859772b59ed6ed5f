"""Batch-norm statistics, class frequencies and label-free scores: what target frames tell without a label."""
