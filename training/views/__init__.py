"""What a step sees: crops of frames, changed and mixed, and the batches they come in."""
