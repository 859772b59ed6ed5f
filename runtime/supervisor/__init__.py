"""A process that watches the loop's process, and starts it again."""
