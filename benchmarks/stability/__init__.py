"""Which figures of `peers` are the same on another day: runs of one network beside each other."""
