"""Whether results can be trusted now, and why not."""
