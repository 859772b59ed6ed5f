"""`python -m runtime watch`: what a serving process says of itself in shared memory."""

import argparse
from collections.abc import Mapping
from typing import Any

from runtime.ring.show import show, show_once

__all__ = ["EPILOG", "add_arguments", "watch"]

EPILOG = """\
NAME is that of a sink of kind ring of the process that serves: --set 'sinks=[{kind: ring, name: front}]'.

example:
  python -m runtime watch front
  python -m runtime watch front --once       the check of health of a container

It shows what the ring says twice a second, until its writer has ended; the last line of stdout then says how. Readers
in C and Python get more: docs/embedding.md.

exit status: 0 the writer has ended, or, with --once, its newest result is fresh; 1 it is not, or there is no such ring;
130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="name of the ring")
    parser.add_argument("--once", action="store_true", help="look once: exit status 0 where the newest result is fresh")


def watch(options: argparse.Namespace) -> Mapping[str, Any]:
    """Show the ring until it ends or Ctrl-C, or once, and return what it said last."""
    return show_once(options.name) if options.once else show(options.name)
