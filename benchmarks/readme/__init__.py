"""The figures of README.md and the guides, from the documents that the benchmarks wrote."""
