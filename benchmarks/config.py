"""The `benchmarks` section of a run file."""

from pathlib import Path

from pydantic import PositiveInt

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from runtime.config import StrictModel
from training.data.config import FramesConfig

__all__ = ["BenchmarksConfig", "StepBenchmarksConfig"]


class StepBenchmarksConfig(StrictModel):
    """What `adapt` needs: nothing has to be there before."""

    output: Path = Path("runs")
    """Folder of what the commands write: `latency.json`, `adaptation.json`, `report.md`."""
    adaptation: AdaptationBenchmarkConfig = AdaptationBenchmarkConfig()


class BenchmarksConfig(StepBenchmarksConfig):
    """What is measured, against what, and where the figures go."""

    bundle: Path
    checkpoint: Path
    """The network file the bundle was made from; the peer runs it in PyTorch."""
    factory: str | None = None
    """The function that a network file of your own `nn.Module` may call; it must be the file's `model.factory`."""
    frames: FramesConfig
    """Frames that are shown in rotation; labels are never read."""
    training_output: Path | None = None
    """Folder in which `python -m training` wrote its report."""
    num_queries: PositiveInt = 700
    """Timed frames of each contender; p99 needs 662 of them, p99.9 needs 6636."""
    warmup: PositiveInt = 20
    """Frames of each contender before the first timed one."""
    threads: PositiveInt | None = None
    """CPU threads of each contender; None takes every physical core."""
