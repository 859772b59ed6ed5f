"""Loss terms and what they compare with, as functions of tensors: no network, no run."""
