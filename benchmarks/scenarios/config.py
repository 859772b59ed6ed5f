"""The `scenarios` group of the `benchmarks` section."""

from typing import Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from benchmarks.scenarios.budgets import Budgets
from runtime.backends.config import AnyBackendConfig, AutoConfig
from runtime.config import StrictModel

__all__ = [
    "SCENARIOS",
    "CameraConfig",
    "ContentionConfig",
    "MultiCameraConfig",
    "OfflineConfig",
    "ResumeConfig",
    "Scenario",
    "ScenariosConfig",
]

Scenario = Literal["single_stream", "offline", "camera", "multi_camera", "contention", "cold_start", "resume"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)


class OfflineConfig(StrictModel):
    """As many frames as possible, in turns of all contenders."""

    engines: tuple[PositiveInt, ...] | None = Field(default=None, min_length=1)
    """How many engines of the bundle work side by side, each with its share of the threads; None takes one, and one
    for each thread."""
    batch_sizes: tuple[PositiveInt, ...] = (1, 2, 4)
    """Of PyTorch eager; an empty list leaves it out."""
    round_frames: PositiveInt = 8
    """Frames of each turn; a multiple of every batch size."""
    num_rounds: PositiveInt = 20

    @model_validator(mode="after")
    def _turns_are_whole_batches(self) -> Self:
        for size in self.batch_sizes:
            if self.round_frames % size:
                raise ValueError(
                    f"round_frames={self.round_frames} is no multiple of the batch size {size}; use a multiple of all "
                    f"of batch_sizes={list(self.batch_sizes)}"
                )
        return self


class CameraConfig(StrictModel):
    """Cameras of fixed rates, one after the other."""

    rates_hz: tuple[PositiveFloat, ...] = Field(default=(10.0, 20.0, 30.0), min_length=1)
    num_frames: PositiveInt = 700
    """Frames that each camera takes; p99 needs 662 results."""
    deadline_ms: PositiveFloat | None = None
    """Greatest age of labels in the sink; None takes the time until the next frame."""

    @model_validator(mode="after")
    def _rates_differ(self) -> Self:
        if len(set(self.rates_hz)) < len(self.rates_hz):
            raise ValueError(f"rates_hz={list(self.rates_hz)}: name each rate once")
        return self


class MultiCameraConfig(StrictModel):
    """Cameras that run at the same time."""

    rates_hz: tuple[PositiveFloat, ...] = Field(default=(10.0, 10.0), min_length=1)
    """One for each camera."""
    num_frames: PositiveInt = 700
    """Frames that each camera takes; p99 needs 662 results."""
    deadline_ms: PositiveFloat | None = None
    """Greatest age of labels in the sink; None takes the time until the camera's next frame."""


class ContentionConfig(StrictModel):
    """One stream with and without a second load, in blocks."""

    num_blocks: PositiveInt = 20
    """Of each kind."""
    block_queries: PositiveInt = 35
    """Timed frames of each block; p99 needs 662 in all."""
    load_threads: PositiveInt | None = None
    """Of the second load; None takes one for each processor, so that the engine has none for itself."""


class ResumeConfig(StrictModel):
    """The first frame after a pause."""

    idle_s: PositiveFloat = 10.0
    num_pauses: PositiveInt = 10
    run_queries: PositiveInt = 20
    """Frames one right after the other before each pause, which the first frame after it is compared with."""


class ScenariosConfig(StrictModel):
    """What `scenarios` runs; one stream takes `num_queries`, and every engine is warmed by `warmup`, of the section."""

    only: tuple[Scenario, ...] | None = Field(default=None, min_length=1)
    """The scenarios that run; None takes all."""
    backend: AnyBackendConfig = AutoConfig()
    """The engine; `auto` is the runtime's own choice. Where it names no CPU threads, the section's `threads` count."""
    artefact: str | None = None
    """File of the bundle; None takes fp32.onnx, or what `auto` chooses."""
    offline: OfflineConfig = OfflineConfig()
    camera: CameraConfig = CameraConfig()
    multi_camera: MultiCameraConfig = MultiCameraConfig()
    contention: ContentionConfig = ContentionConfig()
    num_starts: PositiveInt = 5
    """Processes of the cold start."""
    resume: ResumeConfig = ResumeConfig()
    seed: NonNegativeInt = 0
    """Draws the outputs whose labels are checked, and the order of turns."""
    budgets: Budgets = Budgets()

    @property
    def chosen(self) -> tuple[Scenario, ...]:
        """The scenarios that run, in their order."""
        return tuple(scenario for scenario in SCENARIOS if self.only is None or scenario in self.only)

    @model_validator(mode="after")
    def _budgets_are_of_what_runs(self) -> Self:
        bounded = [scenario for scenario in SCENARIOS if getattr(self.budgets, scenario)]
        for scenario in bounded:
            if scenario not in self.chosen:
                raise ValueError(
                    f"budgets.{scenario} bounds a scenario that does not run; add it to only={list(self.chosen)}, or "
                    "leave the budget out"
                )
        for rate_hz in self.budgets.camera:
            if rate_hz not in self.camera.rates_hz:
                raise ValueError(
                    f"budgets.camera bounds a camera of {rate_hz:g} Hz, which does not run; there are "
                    f"camera.rates_hz={list(self.camera.rates_hz)}"
                )
        return self
