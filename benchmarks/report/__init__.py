"""The report: one HTML file on a run and its bundle, a file for each of its sections."""
