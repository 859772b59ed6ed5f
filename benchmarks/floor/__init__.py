"""The least time a network can take on a machine: its work counted, the machine's peaks measured."""
