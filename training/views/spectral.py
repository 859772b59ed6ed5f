"""Low frequencies of one image given the strength they have in another (FDA, Yang and Soatto, CVPR 2020)."""

import torch
from torch import Tensor

__all__ = ["swap_low_amplitude"]


def swap_low_amplitude(images: Tensor, donors: Tensor, share: float | Tensor) -> Tensor:
    """Images with the amplitudes of their lowest frequencies replaced by those of their donors; phases stay.

    Replaced are the frequencies of at most b = max(1, floor(share * min(H, W))) cycles per image along both axes, in
    each channel by itself. The paper has no lower bound of 1: in a small image its share of 0.01 would change the
    mean alone.

    Args:
        images: (N, C, H, W) of any range: colours, or logits.
        donors: of the same shape.
        share: in [0, 0.5], or one for each image, (N,); 0 replaces nothing.

    Returns:
        (N, C, H, W) float32, which may leave the images' range.

    Raises:
        ValueError: the shapes differ.
    """
    if images.shape != donors.shape:
        raise ValueError(
            f"images are {tuple(images.shape)} and their donors {tuple(donors.shape)}; both must be of one shape"
        )
    height, width = images.shape[2:]
    shares = torch.as_tensor(share, device=images.device).reshape(-1, 1, 1, 1)
    reach = torch.where(shares > 0, (shares * min(height, width)).floor().clamp(min=1), -1)
    rows = torch.fft.fftfreq(height, 1 / height, device=images.device).abs()
    columns = torch.fft.rfftfreq(width, 1 / width, device=images.device)
    is_low = (rows[:, None] <= reach) & (columns <= reach)
    spectrum = torch.fft.rfft2(images.float())
    swapped = torch.polar(torch.fft.rfft2(donors.float()).abs(), spectrum.angle())
    result: Tensor = torch.fft.irfft2(torch.where(is_low, swapped, spectrum), s=(height, width))
    return result
