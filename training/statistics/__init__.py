"""What is changed and judged without a gradient: batch-norm statistics, class frequencies, label-free scores."""
