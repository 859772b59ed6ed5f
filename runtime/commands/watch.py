"""`python -m runtime watch`: what a serving process says of itself in shared memory."""

import argparse
from collections.abc import Mapping
from typing import Any

from runtime.ring.show import show

__all__ = ["EPILOG", "add_arguments", "watch"]

EPILOG = """\
NAME is that of a sink of kind ring of the process that serves: --set 'sinks=[{kind: ring, name: front}]'.

example:
  python -m runtime watch front

It shows what the ring says twice a second, until its writer has ended; the last line of stdout then says how. Readers
in C and Python get more: docs/embedding.md.

exit status: 0 the writer has ended, 1 there is no such ring, 130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="name of the ring")


def watch(options: argparse.Namespace) -> Mapping[str, Any]:
    """Show the ring until it ends or Ctrl-C, and return what it said last."""
    return show(options.name)
