"""The `benchmarks` section of a run file."""

from pathlib import Path

from pydantic import Field, PositiveInt

from benchmarks.adaptation.config import AdaptationBenchmarkConfig
from benchmarks.choose.config import ChooseConfig
from benchmarks.loop.config import LoopBenchmarkConfig
from benchmarks.methods.config import MethodsConfig
from benchmarks.peers.config import PeersConfig
from benchmarks.scenarios.config import ScenariosConfig
from benchmarks.tune.config import TuneConfig
from runtime.config import StrictModel
from runtime.drift.config import DriftConfig
from training.data.config import FramesConfig

__all__ = ["BenchmarksConfig", "DriftBenchmarkConfig", "SectionConfig", "StepBenchmarksConfig"]


class StepBenchmarksConfig(StrictModel):
    """What `adapt` and `choose` need: no bundle of the run has to be there."""

    output: Path = Path("runs")
    """Folder of what the commands write: `report.html`, and `latency.json` and others named after their commands."""
    adaptation: AdaptationBenchmarkConfig = AdaptationBenchmarkConfig()
    choose: ChooseConfig = ChooseConfig()


class DriftBenchmarkConfig(StrictModel):
    """What `drift` shows to the runtime's test for drift."""

    within: tuple[FramesConfig, ...] = Field(min_length=1)
    """Frames of the bundle's domain that its reference does not hold."""
    beyond: tuple[FramesConfig, ...] = Field(min_length=1)
    """Frames of another domain."""
    artefact: str | None = None
    """File of the bundle to serve; None takes fp32.onnx."""
    watch: DriftConfig = DriftConfig()
    """The test; each frame is one look."""
    num_orders: PositiveInt = 20
    """As the frames come, then shuffled."""
    num_passes: PositiveInt = 10
    """How often all frames are shown in an order."""


class SectionConfig(StepBenchmarksConfig):
    """The whole section, as `methods` reads it: no bundle has to be there."""

    methods: MethodsConfig = MethodsConfig()
    bundle: Path | None = None
    checkpoint: Path | None = None
    """The network file the bundle was made from; the peer runs it in PyTorch."""
    factory: str | None = None
    """The function that a network file of your own `nn.Module` may call; it must be the file's `model.factory`."""
    frames: FramesConfig | None = None
    """Frames that are shown in rotation; labels are never read."""
    drift: DriftBenchmarkConfig | None = None
    """What the command `drift` shows."""
    test: FramesConfig | None = None
    """Labelled target frames, for the mIoU of `ladder` and `peers`; None leaves its columns out."""
    num_test_frames: PositiveInt = 50
    """Spread evenly over `test`."""
    adapt_truth: FramesConfig | None = None
    """The frames of `training.target.adapt` with labels, where there are any: opened by `report` alone, to say how many
    pseudo-labels were right; None leaves that out."""
    training_output: Path | None = None
    """Folder in which `python -m training` wrote its report."""
    num_queries: PositiveInt = 700
    """Timed frames of each contender of `latency`, and of one stream of `scenarios`; p99 needs 662, p99.9 6636."""
    num_rounds: PositiveInt = 64
    """Timed frames of each contender of `ladder`, `peers` and each run of `tune`; p90 needs 64 of them."""
    warmup: PositiveInt = 20
    """Frames of each contender before the first timed one."""
    threads: PositiveInt | None = None
    """CPU threads of each contender; None takes one for each physical core, in `peers` each engine's own default."""
    loop: LoopBenchmarkConfig = LoopBenchmarkConfig()
    peers: PeersConfig = PeersConfig()
    scenarios: ScenariosConfig = ScenariosConfig()
    tune: TuneConfig = TuneConfig()


class BenchmarksConfig(SectionConfig):
    """What is measured, against what, and where the figures go: all other commands measure a bundle."""

    bundle: Path
    checkpoint: Path
    frames: FramesConfig
