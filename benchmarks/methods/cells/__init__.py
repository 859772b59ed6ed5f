"""One setting with one seed on one data set: run once, kept on disk."""
