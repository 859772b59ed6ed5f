"""The bundle in service, and how another takes its place."""
