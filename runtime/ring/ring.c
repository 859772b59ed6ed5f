/* iapc_ring.h as a library, so that Python and C run the same code; loaded with ctypes, no Python header is needed. */
#define IAPC_RING_API
#include "iapc_ring.h"

/* To be raised with every change of a structure or of a function's arguments; compiled.py expects it. */
int32_t iapc_ring_interface(void) { return 1; }
