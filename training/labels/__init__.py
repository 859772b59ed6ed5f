"""What the student learns from without the world telling it: offline pseudo-labels, their importance and weights."""
