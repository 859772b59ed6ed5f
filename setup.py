"""The two parts that are compiled; everything else is declared in pyproject.toml.

Without a compiler the installation goes on: `runtime.tail` then computes the same labels with numpy, and says so;
`runtime.ring` needs one, because Python cannot order what processors write to shared memory.
"""

import sys

from setuptools import Extension, setup

# Contracted multiply-adds would round otherwise than numpy, and the two versions could give different labels.
FLAGS = ["-O3", "-std=c11", "-ffp-contract=off", "-Wall", "-Wextra"]


def library(name: str, source: str, *headers: str) -> Extension:
    """A C file that becomes a shared library beside the Python files of its folder."""
    return Extension(
        name,
        [source],
        depends=["setup.py", *headers],
        extra_compile_args=[] if sys.platform == "win32" else FLAGS,
        # Loaded with ctypes, it uses nothing of Python: one wheel serves every version.
        py_limited_api=True,
        optional=True,
    )


setup(
    ext_modules=[
        library("runtime.tail._compiled", "runtime/tail/tail.c"),
        library("runtime.ring._compiled", "runtime/ring/ring.c", "runtime/ring/iapc_ring.h"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
