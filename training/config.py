"""The `training` section of a run file: one closed tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from runtime.config import StrictModel
from runtime.labels import LabelSpace
from training.data.config import FolderConfig, FramesConfig, LabelledFolderConfig
from training.methods.choice import MethodConfig
from training.networks.config import ModelConfig
from training.presets import PresetName, with_preset

__all__ = [
    "AdaptationConfig",
    "CleanForwardConfig",
    "GivenSource",
    "OptimizerConfig",
    "SourceConfig",
    "TargetConfig",
    "TrainedSource",
    "TrainingConfig",
    "ViewConfig",
]

Hw = tuple[PositiveInt, PositiveInt]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class OptimizerConfig(StrictModel):
    """Optimiser and schedule; the defaults are the paper's for adaptation (1e-4, head 10x, poly 0.9)."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: PositiveFloat = 1e-4
    backbone_multiplier: PositiveFloat = 1.0
    """Times the rate of everything but the classifier; 3 comes near the authors' code, which steps it thrice."""
    head_multiplier: PositiveFloat = 10.0
    momentum: Share = 0.9
    weight_decay: NonNegativeFloat = 5e-4
    warmup: NonNegativeInt = 5000
    horizon: PositiveInt = 100_000
    """Step at which the polynomial decay reaches zero; may lie behind the last step, and not before it."""


def _require_horizon(optimizer: OptimizerConfig, iterations: int) -> None:
    """Refuse a schedule by which the last steps cost their time and learn nothing.

    Raises:
        ValueError: the learning rate is zero before the last step.
    """
    if optimizer.horizon < iterations:
        raise ValueError(
            f"optimizer.horizon={optimizer.horizon} lies before the end of iterations={iterations}: the learning rate "
            f"would be 0 from there on; set optimizer.horizon to at least {iterations}, or fewer iterations"
        )


class ViewConfig(StrictModel):
    """How training crops are cut from a frame."""

    train_hw: Hw
    """Size a frame is brought to before random scaling."""
    scale: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.2)
    crop_hw: Hw
    mirror: Share = 0.5

    @model_validator(mode="after")
    def _crop_fits(self) -> "ViewConfig":
        low, high = self.scale
        if low > high:
            raise ValueError(f"scale={self.scale}: the first must not exceed the second")
        if any(crop > low * full for crop, full in zip(self.crop_hw, self.train_hw, strict=True)):
            raise ValueError(f"crop_hw={self.crop_hw} does not fit into train_hw={self.train_hw} at scale {low}")
        return self


class TrainedSource(StrictModel):
    """The source network is trained here, on labelled source frames."""

    kind: Literal["train"]
    frames: FramesConfig
    validation: FramesConfig | None = None
    """Labelled source frames for the report alone."""
    views: ViewConfig
    iterations: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: OptimizerConfig
    start_from: Path | None = None
    """A checkpoint, ours or public, whose trunk the network starts from instead of at random."""
    colour_jitter: Share = 0.4
    """Strength of random brightness, contrast and saturation; report it with every figure, it moves all of them."""
    checkpoint_every: PositiveInt = 100

    @model_validator(mode="after")
    def _all_steps_learn(self) -> "TrainedSource":
        _require_horizon(self.optimizer, self.iterations)
        return self


class GivenSource(StrictModel):
    """The source network is a checkpoint: one that `train-source` wrote earlier, or a public one."""

    kind: Literal["checkpoint"]
    path: Path
    frames: FramesConfig | None = None
    """Labelled source frames, for the methods of a comparison that learn from them; no other opens them."""


SourceConfig = Annotated[TrainedSource | GivenSource, Field(discriminator="kind")]


class TargetConfig(StrictModel):
    """Target frames. Reports read labels of `test` alone, the oracle of `benchmarks methods` those of `adapt`."""

    adapt: FramesConfig
    test: FramesConfig | None = None

    @property
    def images(self) -> FramesConfig:
        """The frames of `adapt`, said without their labels: what learns without labels is not named after them."""
        if isinstance(self.adapt, LabelledFolderConfig):
            return FolderConfig(layout="folder", root=self.adapt.root, exclude=self.adapt.exclude)
        return self.adapt


class PseudoLabelConfig(StrictModel):
    """Offline labels: softmax maps summed over looks at a frame; dense, no threshold. See `training.labels.looks`.

    Labels that a method makes anew in rounds are of `scales` and `mirror` alone.
    """

    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0, 1.25, 0.75)
    mirror: bool = True
    """Look at every scale and exposure mirrored too."""
    exposures: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] | Literal["auto"] = (1.0,)
    """Exponents of pixel values in 0..1; `auto` adds the one at which frames are nearest to the source's, by the
    network's own statistics."""
    frame_shares: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.0,)
    """Shares of a look's own batch-norm statistics in those that normalise it; every one is a look of its own."""
    balance: Share = 0.0
    """Power of the class frequencies that probabilities are divided by before the largest is taken."""


class CleanForwardConfig(StrictModel):
    """After each step the student also sees crops of other, unchanged frames, which move its running statistics alone.

    The authors' code does so in passing, to log a loss; the statistics it delivers are about half of these crops.
    """

    frame_hw: Hw
    """Size of the frame from which the clean crop is cut."""


class AdaptationConfig(StrictModel):
    """One adaptation run."""

    preset: PresetName | None = None
    """Settings for keys that are not given here; see `training.presets`."""
    method: MethodConfig
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()
    statistics_share: Share | Literal["auto"] = "auto"
    """Share of target batch-norm statistics blended in before anything is labelled; 0 is the paper's choice."""
    statistics_frames: PositiveInt = 200
    """Target frames, evenly spread, from which batch-norm statistics are estimated."""
    min_shift: NonNegativeFloat = 0.1
    """A target nearer to the source than this, by `training.statistics.batch_norm.statistics_distance`, is taken for
    the source's own domain, and the network is left as it is; 0 adapts in any case."""
    balance: Share = 0.0
    """Strength with which class frequencies are taken out of the network's predictions before anything is labelled; 0
    is the paper's choice. See `training.statistics.balance`."""
    student_statistics: Literal["batch", "fixed"] = "batch"
    """Student normalises by the batch (the paper) or by the blended statistics."""
    settled_statistics: Literal["blended", "estimated", "running"] = "blended"
    """What a student trained by batch is delivered with: statistics of clean target frames, blended with the source's
    by `statistics_share`, which `auto` chooses anew for the student; these alone; or what training left."""
    max_lost_classes: Share = 0.25
    """Where the adapted network lost more than this share of the classes it started with, the one it started from is
    delivered instead; 1 delivers in any case. See `training.veto`."""
    clean_forward: CleanForwardConfig | None = None
    views: ViewConfig
    memory_hw: Hw
    """Size of the frame from which the memory network's crop is cut."""
    min_classes: PositiveInt = 11
    """A crop is redrawn, up to ten times, until its pseudo-labels have this many classes."""
    photometric: bool = True
    iterations: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: OptimizerConfig = OptimizerConfig()
    checkpoint_every: PositiveInt = 50

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _clean_crop_fits(self) -> "AdaptationConfig":
        if self.clean_forward is None:
            return self
        frame_hw, crop_hw = self.clean_forward.frame_hw, self.views.crop_hw
        if any(crop > full for crop, full in zip(crop_hw, frame_hw, strict=True)):
            raise ValueError(f"clean_forward.frame_hw={frame_hw} is smaller than views.crop_hw={crop_hw}; enlarge it")
        if self.student_statistics == "fixed":
            raise ValueError("clean_forward moves running statistics, which student_statistics=fixed keeps; drop one")
        return self

    @model_validator(mode="after")
    def _all_steps_learn(self) -> "AdaptationConfig":
        _require_horizon(self.optimizer, self.iterations)
        return self

    @model_validator(mode="after")
    def _memory_crop_fits(self) -> "AdaptationConfig":
        crop_hw = self.views.crop_hw
        if any(crop > full for crop, full in zip(crop_hw, self.memory_hw, strict=True)):
            raise ValueError(f"memory_hw={self.memory_hw} is smaller than views.crop_hw={crop_hw}; enlarge it")
        return self


class TrainingConfig(StrictModel):
    """Everything `python -m training` needs for one run."""

    output: Path
    seed: NonNegativeInt = 0
    label_space: LabelSpace
    """The classes: a known label space by its name, or classes of your own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    workers: NonNegativeInt = 1
    model: ModelConfig
    source: SourceConfig
    target: TargetConfig
    adaptation: AdaptationConfig

    @model_validator(mode="after")
    def _crops_can_be_rich(self) -> "TrainingConfig":
        # Every crop would be redrawn ten times, for nothing.
        asked, num_classes = self.adaptation.min_classes, self.label_space.num_classes
        if asked > num_classes:
            raise ValueError(
                f"adaptation.min_classes={asked}: no crop can have as many, label_space has {num_classes} classes; "
                f"the paper asks for 11 of 19, so try {max(1, num_classes * 11 // 19)}"
            )
        return self
