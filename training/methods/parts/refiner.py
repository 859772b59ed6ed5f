"""What both forms of PRN (Pseudo-label Refinement Network, arXiv 2310.16979) train beside the student, and how.

No gradient of it reaches the student, but for that of the contrast, which is meant for it.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from runtime.config import StrictModel
from runtime.labels import IGNORE_INDEX
from training.losses.pixel_contrast import draw_anchors, pixel_contrast_loss
from training.losses.refinement import refinement_loss
from training.losses.terms import nearest_labels
from training.methods.class_balanced import Share
from training.methods.method import Setting
from training.methods.parts.teacher import Teacher
from training.networks.feature_channels import feature_channels
from training.networks.network import NetworkOutput, upsample
from training.networks.refinement import RefinementNetwork
from training.statistics.global_batch_norm import by_global_batch
from training.views.spectral import swap_low_amplitude

__all__ = ["Refiner", "RefinerConfig"]

PROJECTED = 256
# A pixel of less than this weight is held to be noise: no anchor.
KEPT = 0.5
HalfShare = Annotated[float, Field(ge=0.0, le=0.5)]


class RefinerConfig(StrictModel):
    """The refinement network and the contrast."""

    refinement: NonNegativeFloat = 1.0
    """Weight of what the refinement network learns, which it shares with no other term."""
    refined_after: Share = 0.2
    """Of the steps; before, the teacher's labels are taught as they are. 2,000 to 3,000 of 40,000 would be 0.06 (a
    reading), too few of 300: as measured once, it finds little noise before its 40th step."""
    swapped: tuple[HalfShare, HalfShare] = (0.05, 0.2)
    """How much of the spectrum of logits is another crop's: drawn between these for each, as in the paper."""
    trusted: Share = 0.9
    """How far a cell's first class has to be ahead of its second, as 1 - p2 / p1, for a target label to be taught."""
    contrast: NonNegativeFloat = 0.1
    temperature: PositiveFloat = 0.1
    anchors: PositiveInt = 512


class Refiner:
    """A refinement network and a projection, both heads.

    Args:
        config: weights.
        setting: what the method is built from; its network is run once, to see its features.

    Raises:
        ConfigError: the size of its features cannot be found.
    """

    def __init__(self, config: RefinerConfig, setting: Setting) -> None:
        self._config, self._compute = config, setting.compute
        num_features = feature_channels(setting.network)
        self.network = RefinementNetwork(num_features, setting.num_classes)
        hidden = nn.Linear(num_features, PROJECTED)
        self._projection = nn.Sequential(hidden, nn.ReLU(inplace=True), nn.Linear(PROJECTED, PROJECTED))
        self.heads = nn.ModuleDict({"refinement": self.network, "projection": self._projection})
        by_global_batch(setting.compute.place(self.heads), setting.compute)
        self._first_used = config.refined_after * setting.iterations

    def is_used(self, teacher: Teacher) -> bool:
        """Whether the network has learnt for long enough that its labels are taught."""
        return teacher.num_steps >= self._first_used

    def perturbed(self, logits: Tensor, donors: Tensor) -> Tensor:
        """Logits (N, C, h, w) with the low-frequency amplitudes of donors of the same shape."""
        least, most = self._config.swapped
        shares = least + (most - least) * torch.rand(len(logits))
        return swap_low_amplitude(logits, donors, shares.to(logits.device))

    def loss(self, features: Tensor, given: Tensor, labels: Tensor) -> Tensor:
        """What the network learns from wrong logits and right labels, weighted; scalar.

        Args:
            features: (N, D, h', w') of the teacher.
            given: (N, C, h, w), wrong in places.
            labels: (N, h, w), right where they are not `IGNORE_INDEX`.
        """
        with self._compute.autocast():
            refined = self.network(features, given)
        return self._config.refinement * refinement_loss(refined, given, labels)

    @torch.no_grad()
    def refine(self, taught: NetworkOutput, hw: tuple[int, int], *, align_corners: bool) -> tuple[Tensor, Tensor]:
        """Labels (N, *hw) of what the teacher made of crops, and the probability (N, *hw) that it was wrong there."""
        self.network.eval()
        with self._compute.autocast():
            refined = self.network(taught.features, taught.logits)
        self.network.train()
        noise = upsample(refined.noise[:, None], hw, align_corners=align_corners)[:, 0].sigmoid()
        return upsample(refined.logits, hw, align_corners=align_corners).argmax(dim=1), noise

    def contrast(self, features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Weighted contrast between the student's features (N, D, h, w) by labels and weights (N, H, W); scalar."""
        hw = (int(features.shape[2]), int(features.shape[3]))
        labels = nearest_labels(labels, hw)
        weights = F.interpolate(weights[:, None], size=hw, mode="nearest")[:, 0]
        is_kept = (weights >= KEPT) & (labels != IGNORE_INDEX)
        places = draw_anchors(labels, is_kept, self._config.anchors)
        drawn = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])[places]
        with self._compute.autocast():
            projected = self._projection(drawn)
        embeddings = F.normalize(projected.float(), dim=1)
        loss = pixel_contrast_loss(embeddings, labels.flatten()[places], temperature=self._config.temperature)
        return self._config.contrast * loss
