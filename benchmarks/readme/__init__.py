"""The figures of README.md, from the document that `methods` wrote."""
