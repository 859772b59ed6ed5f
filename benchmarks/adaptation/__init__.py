"""`adapt`: images/s and memory of one adaptation step against the same step written plainly."""
