"""`python -m benchmarks COMMAND CONFIG`: what the bundle costs, and one page on the whole run."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.adaptation.measure import measure_adaptation
from benchmarks.choose.choose import choose
from benchmarks.config import BenchmarksConfig, SectionConfig, StepBenchmarksConfig
from benchmarks.drift import measure_drift
from benchmarks.ladder import measure_ladder
from benchmarks.latency import measure_latency
from benchmarks.loop.measure import measure_loop
from benchmarks.loop.soak import measure_soak
from benchmarks.methods.measure import measure_methods
from benchmarks.peers.measure import measure_peers
from benchmarks.readme.write import SOURCES, write_readme
from benchmarks.report.write import write_report
from benchmarks.scenarios.measure import measure_scenarios
from benchmarks.stability.compare import compare_runs
from benchmarks.tune.measure import measure_tune
from runtime.command import add_config_arguments, run_command
from runtime.config import load_config
from runtime.files import writable_folder, write_text

COMMANDS = {
    "adapt": "time one adaptation step of DeepLabV2-ResNet-101 against the same step written plainly; needs no CONFIG",
    "latency": "time the bundle against PyTorch eager, in the same run and on the same frames",
    "ladder": "size, label agreement, mIoU and latency of every artefact of the bundle in every engine that runs here",
    "peers": "the bundle against PyTorch, torch.compile, TorchScript, ONNX Runtime and OpenVINO as commonly used, from "
    "a decoded frame to its label map, each beside the floor that this machine sets",
    "tune": "which artefact, engine and engine options serve the bundle soonest on this machine, what each option "
    "brings against the default and costs the cores, and the `runtime` section that asks for the best",
    "choose": "of all that `ladder` measured, what to take within a budget of milliseconds; needs no CONFIG",
    "loop": "what the runtime's loop adds to its engine in time and memory, and how long it takes until it is ready",
    "soak": "the loop under a camera faster than its engine, for half an hour: age, memory, drops",
    "scenarios": "the bundle as it is used: one stream, many frames, cameras of fixed rates, several at once, beside a "
    "second load, after a start, after a pause",
    "drift": "how soon the runtime notices frames of another domain, and how often it is wrong on those of its own",
    "methods": "adapt with every method, on every data set, over seeds: accuracy, cost and significance side by side",
    "report": "put all of that and the networks' own pictures on one HTML page, in a single file that needs no other",
}
WITHOUT_CONFIG = ("adapt", "choose")
README = "write the tables of README.md and the guides from docs/figures; needs no CONFIG"
STABILITY = "which figures of `peers` are the same in runs of other days or machines; needs no CONFIG"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run one command; exit statuses are those of `runtime.command`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="Exit status: 0 done, 1 failed, 2 bad usage or config, 3 refused because the bundle gives other labels "
        "than its network or a demand of the config is not met, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        add_config_arguments(command, is_optional=name in WITHOUT_CONFIG)
        if name == "choose":
            command.add_argument(
                "--budget-ms", type=float, metavar="MS", help="the budget; as choose.budget_ms in CONFIG"
            )
    readme = commands.add_parser("readme", help=README, description=README)
    methods_help = (
        "methods.json of `methods`, whose figures are taken into docs/figures first; else those there are kept"
    )
    readme.add_argument("--methods", type=Path, metavar="FILE", help=methods_help)
    readme.add_argument("--peers", type=Path, metavar="FILE", help="the same with peers.json of `peers`")
    readme.add_argument("--adaptation", type=Path, metavar="FILE", help="the same with adaptation.json of `adapt`")
    stability = commands.add_parser("stability", help=STABILITY, description=STABILITY)
    stability.add_argument("first", type=Path, metavar="FIRST", help="peers.json of a run")
    stability.add_argument("others", type=Path, metavar="OTHER", nargs="+", help="the same of other runs")
    stability.add_argument("--output", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    options = parser.parse_args(arguments)
    if options.command == "readme":
        given = {name: path for name in SOURCES if (path := getattr(options, name)) is not None}
        return run_command(lambda: write_readme(given))
    if options.command == "stability":
        return run_command(lambda: compare_runs((options.first, *options.others), options.output))
    if getattr(options, "budget_ms", None) is not None:
        options.overrides.append(f"choose.budget_ms={options.budget_ms}")
    return run_command(lambda: _run(options.command, options.config, options.overrides))


def _run(command: str, path: Path | None, overrides: list[str]) -> Mapping[str, Any]:
    if command == "choose":
        found = load_config(path, "benchmarks", SectionConfig, overrides)
        return choose(found.choose, found.output)
    if path is None:
        step_config = load_config(None, "benchmarks", StepBenchmarksConfig, overrides)
        return measure_adaptation(step_config.adaptation, step_config.output)
    if command == "methods":
        return measure_methods(load_config(path, "benchmarks", SectionConfig, overrides), path, overrides)
    config = load_config(path, "benchmarks", BenchmarksConfig, overrides)
    writable_folder(config.output)
    write_text(config.output / f"{command}.config.json", config.model_dump_json(indent=2) + "\n")
    match command:
        case "adapt":
            return measure_adaptation(config.adaptation, config.output)
        case "latency":
            return measure_latency(config)
        case "ladder":
            return measure_ladder(config)
        case "peers":
            return measure_peers(config)
        case "tune":
            return measure_tune(config)
        case "loop":
            return measure_loop(config)
        case "soak":
            return measure_soak(config)
        case "scenarios":
            return measure_scenarios(config)
        case "drift":
            return measure_drift(config)
        case _:
            return write_report(config, path, overrides)


if __name__ == "__main__":
    sys.exit(main())
