"""The bundle beside what people would use instead, on the same frames, on the same machine, in the same run."""
