"""The contenders of `adapt`, each in a process of its own, so that peak memory is that contender's alone.

A process stays alive between its turns and steps when it is told to: whatever slows the machine for a while hits
all contenders alike.
"""

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from benchmarks.adaptation.plain import PlainStep
from benchmarks.adaptation.views import StepViews, draw_views
from training.checkpoint import NetworkSpec
from training.config import OptimizerConfig
from training.device import Compute, Precision
from training.labels.importance import frame_importance
from training.methods.iapc import Iapc
from training.methods.method import Setting
from training.networks.config import DeepLabV2Config
from training.statistics.batch_norm import estimate_statistics, load_statistics
from training.trainer import build_optimizer, training_step
from training.views.batch import TargetBatch

__all__ = ["PARTS", "Contender", "Stepped"]

Name = Literal["plain", "iapc"]
PARTS = (
    *("source forward", "memory forward", "student forward", "losses", "backward"),
    *("optimiser", "memory update", "clean forward"),
)


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step: its loss terms and how long it took."""

    terms: Mapping[str, float]
    seconds: float


class Contender:
    """A process that runs one step when asked."""

    def __init__(self, name: Name, precision: Precision, config: AdaptationBenchmarkConfig, threads: int) -> None:
        """Start the process and wait until its networks are built."""
        self.name, self.precision = name, precision
        # torch's profiler writes to stderr what nobody asked for; it reads this when it is imported.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, precision, config, threads), daemon=True)
        self._process.start()
        theirs.close()
        self.resident_before_bytes: int = self._ask("built")

    def step(self, index: int) -> Stepped:
        """Run step `index`; every contender sees the same views at the same index."""
        found: Stepped = self._ask(index)
        return found

    def parts(self, index: int) -> dict[str, float]:
        """Seconds of each part of step `index`, from torch's profiler, which slows the step a little."""
        found: dict[str, float] = self._ask(("parts", index))
        return found

    def peak_bytes(self) -> int:
        """Peak memory so far: of the device on a GPU, else resident memory of the process."""
        found: int = self._ask("peak")
        return found

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=10)

    def _ask(self, message: object) -> Any:
        """Send a message and wait for its answer.

        Raises:
            RuntimeError: the process ended; its traceback is on stderr.
        """
        try:
            if message != "built":
                self._connection.send(message)
            return self._connection.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError(f"contender {self.name} {self.precision} ended; see its error above") from error


def _serve(
    connection: Connection, name: Name, precision: Precision, config: AdaptationBenchmarkConfig, threads: int
) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(config.seed)
    compute = Compute(torch.device(config.device), precision)
    views = draw_views(config)
    step = _build(name, config, compute, views)
    connection.send(_peak_bytes(compute))
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        match message:
            case "peak":
                connection.send(_peak_bytes(compute))
            case ("parts", int(index)):
                connection.send(_profiled(step, index))
            case int(index):
                connection.send(_timed(step, index, compute))


def _build(
    name: Name, config: AdaptationBenchmarkConfig, compute: Compute, views: StepViews
) -> Callable[[int], dict[str, float]]:
    """The contender's step, a function of the step's index."""
    model = DeepLabV2Config(kind="deeplab_v2", backbone=config.backbone, network_hw=config.crop_hw)
    spec = NetworkSpec(model=model, label_space=config.label_space)
    network, frame_input = spec.build(), spec.frame_input().to(compute.device)
    network = compute.place(network) if name == "iapc" else network.to(compute.device)
    # Random weights with the statistics of an untrained network overflow after a hundred layers.
    inputs = (frame_input(frame[None].to(compute.device)) for frame in views.source)
    load_statistics(network, estimate_statistics(network, network, inputs))
    if name == "plain":
        plain = PlainStep(network, frame_input, config.method, num_classes=spec.label_space.num_classes)
        return lambda index: plain.step(*(view.to(compute.device) for view in views.of_step(index)))
    importance = torch.cat(
        [
            frame_importance(network.eval(), spec, frame[None].to(compute.device), config.method.importance).cpu()
            for frame in views.source
        ]
    )
    optimizer_config = OptimizerConfig(warmup=0)
    prior = torch.full((spec.label_space.num_classes,), 1.0 / spec.label_space.num_classes, device=compute.device)
    method = Iapc(config.method, Setting(network, frame_input, prior, compute, iterations=config.num_steps))
    optimizer, scaler = build_optimizer(method, optimizer_config), compute.scaler()

    def step(index: int) -> dict[str, float]:
        _, memory, student, _, labels = views.of_step(index)
        chosen = importance[views.places(index)]
        batch = TargetBatch(["frame"] * len(labels), memory, None, student, labels, chosen)
        return training_step(method, optimizer, scaler, compute.move(batch), require_finite=lambda found: None)

    return step


def _timed(step: Callable[[int], dict[str, float]], index: int, compute: Compute) -> Stepped:
    _synchronise(compute)
    start_s = time.perf_counter()
    terms = step(index)
    _synchronise(compute)
    return Stepped(terms, time.perf_counter() - start_s)


def _profiled(step: Callable[[int], dict[str, float]], index: int) -> dict[str, float]:
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities, acc_events=True) as found:
        step(index)
    totals = {event.key: event for event in found.key_averages()}
    return {part: totals[part].cpu_time_total / 1e6 for part in PARTS if part in totals}


def _synchronise(compute: Compute) -> None:
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)


def _peak_bytes(compute: Compute) -> int:
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(compute.device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
