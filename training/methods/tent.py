"""TENT: test entropy minimisation (Wang et al., ICLR 2021) on the whole target, then frozen.

Only scales and offsets of batch norm learn, from the entropy of predictions that are normalised by the batch. The
published method predicts each batch before its step and never ends; a vehicle's network is frozen, so here it runs
over the target like every other method, and the last state is what is measured.
"""

from typing import Literal

from torch import Tensor

from runtime.config import StrictModel
from runtime.errors import ConfigError
from training.losses.terms import information_maximisation_loss
from training.methods.method import Needs, Setting
from training.methods.parts.loss_method import LossMethod
from training.statistics.batch_norm import affine_parameters
from training.views.batch import TargetBatch

__all__ = ["Tent", "TentConfig"]


class TentConfig(StrictModel):
    """TENT; its published rate, 1e-3, is for classifying images: segmentation wants 1e-5 to 1e-4."""

    name: Literal["tent"]

    @property
    def needs(self) -> Needs:
        """Nothing but the frames."""
        return Needs()


class Tent(LossMethod):
    """Entropy alone, on the scales and offsets of batch norm.

    Raises:
        ConfigError: the network has no batch norm.
    """

    def __init__(self, config: TentConfig, setting: Setting) -> None:
        learning = affine_parameters(setting.network)
        if not learning:
            raise ConfigError(
                "adaptation.method tent trains the scales and offsets of batch norm, and the network has none; choose "
                "another method"
            )
        setting.network.requires_grad_(False)
        for parameter in learning:
            parameter.requires_grad_(True)
        super().__init__(setting, is_affine_frozen=False)

    def terms(self, log_probs: Tensor, batch: TargetBatch) -> dict[str, Tensor]:
        """One term, `entropy`, in nats."""
        return {"entropy": information_maximisation_loss(log_probs)}
