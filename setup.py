"""The one part that is compiled; everything else is declared in pyproject.toml.

Without a compiler the installation goes on: `runtime.tail` then computes the same labels with numpy, and says so.
"""

import sys

from setuptools import Extension, setup

# Contracted multiply-adds would round otherwise than numpy, and the two versions could give different labels.
FLAGS = ["-O3", "-std=c11", "-ffp-contract=off", "-Wall", "-Wextra"]

setup(
    ext_modules=[
        Extension(
            "runtime.tail._compiled",
            ["runtime/tail/tail.c"],
            depends=["setup.py"],
            extra_compile_args=[] if sys.platform == "win32" else FLAGS,
            # Loaded with ctypes, it uses nothing of Python: one wheel serves every version.
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
