"""`python -m benchmarks.scenarios.load`: multiplies matrices until its parent ends it, or is gone.

It says `ready` when it has done so once. BLAS takes as many threads as the environment of the process says.
"""

import os

import numpy as np

SIZE = 768


def main() -> None:
    """Multiply."""
    parent = os.getppid()
    rng = np.random.default_rng(0)
    left, right = rng.random((2, SIZE, SIZE), dtype=np.float32)
    product = left @ right
    print("ready", flush=True)
    while os.getppid() == parent:
        np.matmul(left, right, out=product)


if __name__ == "__main__":
    main()
