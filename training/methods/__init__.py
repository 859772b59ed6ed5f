"""What is learnt, one small file per method."""
