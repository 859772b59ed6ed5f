"""Curves of training: every term of the loss, the learning rate and the pace."""

import json
import math
from pathlib import Path

from markupsafe import Markup

from benchmarks.report.charts.lines import curve
from benchmarks.report.not_there import NotThereError
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section
from runtime.errors import DataError

__all__ = ["SECTION"]

WINDOW = 0.1
"""Of all steps: the bold line is the mean of so many."""
NAMES = {"lr": "learning rate", "images_per_s": "images per second"}


def build(run: Run) -> Content:
    """A chart of each quantity that was logged."""
    provenance = run.spec.provenance
    if provenance.get("is_same_domain"):
        raise NotThereError("The target looks like the source's own domain, so that nothing was trained.")
    path = run.training_folder / "adapt" / str(provenance.get("settings")) / "metrics.jsonl"
    if not path.is_file():
        raise NotThereError(f"The log of the steps, {path}, is not there any more.")
    steps = _read(path)
    window = max(1, round(WINDOW * len(steps)))
    charts = [(NAMES.get(name, name.replace("_", " ")), _chart(steps, name, window)) for name in _quantities(steps)]
    values = {
        "charts": charts,
        "num_steps": len(steps),
        "window": window,
        "provenance": provenance,
        "method": run.training.adaptation.method.name,
    }
    return Content(values, (path,), _other_run(run))


def _other_run(run: Run) -> tuple[str, ...]:
    """A warning where the settings beside the network are of a later run than the network."""
    told = run.spec.provenance.get("adaptation")
    if told == run.training.adaptation.model_dump(mode="json"):
        return ()
    return (
        f"Stale: {run.training_config_path} describes another run than the network was adapted in; run "
        f"`{run.command('make adapt')}` again.",
    )


def _read(path: Path) -> list[dict[str, float]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    steps = []
    for place, line in enumerate(lines, start=1):
        try:
            step = {str(name): float(value) for name, value in json.loads(line).items()}
            if "step" not in step or not all(map(math.isfinite, step.values())):
                raise ValueError("expected a step and finite numbers")
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is damaged at line {place} ({error}); delete its folder and run `make adapt` again"
            ) from error
        steps.append(step)
    if not steps:
        raise DataError(f"{path} is empty; delete its folder and run `make adapt` again")
    return steps


def _quantities(steps: list[dict[str, float]]) -> list[str]:
    """Terms first, as they came, then what every run has."""
    found = dict.fromkeys(name for step in steps for name in step if name not in ("step", *NAMES))
    return [*found, *(name for name in NAMES if any(name in step for step in steps))]


def _chart(steps: list[dict[str, float]], name: str, window: int) -> Markup:
    points = [(step["step"], step[name]) for step in steps if name in step]
    is_smooth = name in NAMES
    return curve(points, name=NAMES.get(name, name), window=1 if is_smooth else window)


SECTION = Section("training", "Training", "make adapt", build)
