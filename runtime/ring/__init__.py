"""Frames and results in shared memory for other processes, in C, C++ or Python: one implementation, iapc_ring.h."""
