"""The `benchmarks` section of a run file."""

from pathlib import Path

from pydantic import PositiveInt

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from benchmarks.loop.config import LoopBenchmarkConfig
from runtime.config import StrictModel
from training.data.config import FramesConfig

__all__ = ["BenchmarksConfig", "StepBenchmarksConfig"]


class StepBenchmarksConfig(StrictModel):
    """What `adapt` needs: nothing has to be there before."""

    output: Path = Path("runs")
    """Folder of what the commands write: `latency.json`, `ladder.json`, `adaptation.json`, `report.md`."""
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
    test: FramesConfig | None = None
    """Labelled target frames, for the mIoU of `ladder`; None leaves its columns out."""
    num_test_frames: PositiveInt = 50
    """Spread evenly over `test`."""
    training_output: Path | None = None
    """Folder in which `python -m training` wrote its report."""
    num_queries: PositiveInt = 700
    """Timed frames of each contender of `latency`; p99 needs 662 of them, p99.9 needs 6636."""
    num_rounds: PositiveInt = 64
    """Timed frames of each contender of `ladder`; p90 needs 64 of them."""
    warmup: PositiveInt = 20
    """Frames of each contender before the first timed one."""
    threads: PositiveInt | None = None
    """CPU threads of each contender; None takes every physical core."""
    loop: LoopBenchmarkConfig = LoopBenchmarkConfig()
