"""What a network would take at the peaks of a machine: its work counted, the machine's peaks measured."""
