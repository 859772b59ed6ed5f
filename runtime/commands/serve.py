"""`python -m runtime serve`: a supervisor and, in its child, the loop."""

import argparse
import faulthandler
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import runtime
from runtime.command import add_config_arguments, say
from runtime.config import load_config
from runtime.settings import RuntimeConfig
from runtime.supervisor.heartbeat import Heartbeat
from runtime.supervisor.supervisor import Supervisor
from runtime.supervisor.systemd import Systemd

__all__ = [
    "EPILOG",
    "add_arguments",
    "run_serve",
]

EPILOG = """\
SOURCE is a folder of images, a video file, a stream (rtsp://...), a camera (/dev/video0), or ring:NAME for frames that
another process writes into shared memory. Anything else about it goes through --set, for example
--set source.rate_hz=5. Results go to the sinks of the run file, and to a page for a browser whose address is told.

example:
  python -m runtime serve --bundle runs/streets/bundle --source drive.mp4
  python -m runtime serve configs/streets.yaml --source /dev/video0 --set 'sinks=[{kind: ring, name: front}]'

SIGTERM and SIGINT end it after the frame under way.
exit status: 0 stopped on request, or the source is finished; 1 failed (--unsupervised alone); 2 bad usage, config or
bundle, or a missing package; 4 the loop's process failed again and again, or when it was stopped; 130 or 143
interrupted before it was ready
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_arguments(parser, is_optional=True, example="loop.deadline_ms=100")
    parser.add_argument("--bundle", type=Path, metavar="FOLDER", help="same as --set bundle=FOLDER")
    parser.add_argument("--source", metavar="SOURCE", help="where frames come from; see below")
    unsupervised_help = "run the loop in this process; whoever starts it then watches and restarts it, such as systemd"
    parser.add_argument("--unsupervised", action="store_true", help=unsupervised_help)
    # The pipe to the supervisor, which alone gives it.
    parser.add_argument("--heartbeat", type=int, help=argparse.SUPPRESS)


def run_serve(options: argparse.Namespace, arguments: Sequence[str]) -> Mapping[str, Any] | None:
    """Supervise or, in the supervisor's child or where that was asked for, serve.

    Args:
        options: parsed from `arguments`.
        arguments: those of `python -m runtime`, for the child.

    Returns:
        The figures of the run; None where the child has told them.
    """
    heartbeat = None if options.heartbeat is None else Heartbeat(options.heartbeat)
    config = load_config(options.config, "runtime", RuntimeConfig, _overrides(options))
    systemd = Systemd()
    if heartbeat is None and not options.unsupervised:
        Supervisor(_child_command(arguments), _child_environment(), config.supervisor, systemd, say).run()
        return None
    # A crash inside an engine leaves a line for each thread.
    faulthandler.enable()
    from runtime.service.serve import serve

    if heartbeat is not None:
        return serve(config, beat=heartbeat.beat, ready=heartbeat.ready)
    return serve(config, beat=systemd.alive, ready=lambda: systemd.ready("serving"))


def source_group(source: str) -> dict[str, str]:
    """The `source` group that the argument --source stands for."""
    if source.startswith("ring:"):
        return {"kind": "ring", "name": source.removeprefix("ring:")}
    if source.startswith("/dev/"):
        return {"kind": "camera", "device": source}
    return {"kind": "folder" if Path(source).is_dir() else "video", "path": source}


def _overrides(options: argparse.Namespace) -> list[str]:
    named = {
        "bundle": options.bundle and str(options.bundle),
        "source": options.source and source_group(options.source),
    }
    # First, so that --set can say more about the source.
    given = [f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None]
    return [*given, *options.overrides]


def _child_command(arguments: Sequence[str]) -> list[str]:
    # -P with the path below: the very code that runs here, whatever lies in the working directory.
    return [sys.executable, "-P", "-m", "runtime", *arguments]


def _child_environment() -> dict[str, str]:
    """That of this process; systemd speaks with the supervisor alone."""
    assert runtime.__file__ is not None
    path = [str(Path(runtime.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, path))}
