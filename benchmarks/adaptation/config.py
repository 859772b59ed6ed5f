"""What `adapt` measures."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from runtime.config import StrictModel
from runtime.labels import LABEL_SPACES, LabelSpace
from training.methods.iapc import IapcConfig
from training.networks.config import Backbone

__all__ = ["AdaptationBenchmarkConfig"]


class AdaptationBenchmarkConfig(StrictModel):
    """One adaptation step of DeepLabV2 with random weights, whose speed does not depend on them."""

    backbone: Backbone = "resnet101"
    crop_hw: tuple[PositiveInt, PositiveInt] = (256, 512)
    batch_size: PositiveInt = 1
    label_space: LabelSpace = LABEL_SPACES["cityscapes19"]
    device: Literal["cpu", "cuda"] = "cpu"
    # The paper's own form of the loss, which is what the plain step computes.
    method: IapcConfig = IapcConfig(name="iapc", temperature=1.0, absent="zero")
    num_steps: Annotated[int, Field(ge=3)] = 7
    """Timed steps of each contender."""
    warmup: PositiveInt = 2
    threads: PositiveInt | None = None
    """CPU threads of each contender, which take turns; None takes every physical core."""
    num_loaded: NonNegativeInt = 60
    """Crops read in the test of the data loader alone, with each number of processes; 0 leaves it out."""
    loaded_hw: tuple[PositiveInt, PositiveInt] = (1024, 2048)
    """Height and width of the frames it reads; crops have a quarter of it, as in the paper."""
    seed: NonNegativeInt = 0
