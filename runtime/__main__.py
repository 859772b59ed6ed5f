"""Segments an image, a folder of images or a video with an exported bundle."""

import argparse
import sys
from collections.abc import Sequence

from runtime.command import run_command
from runtime.segment_command import EPILOG, add_arguments, segment_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser("python -m runtime", description=__doc__, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_arguments(parser)
    options = parser.parse_args(arguments)
    return run_command(lambda: segment_all(options))


if __name__ == "__main__":
    sys.exit(main())
