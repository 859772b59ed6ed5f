"""The bundle as it is used: one stream, many frames, cameras, beside another load, after a start and after a pause."""
