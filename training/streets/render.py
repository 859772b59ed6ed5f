"""One labelled frame of a procedural street, as a pure function of its seed."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from training.streets.appearance import as_seen
from training.streets.camera import Camera
from training.streets.raster import rasterise
from training.streets.scene import sample_scene
from training.streets.textures import Domain

__all__ = ["MIN_SIZE_PX", "Domain", "render_frame"]

MIN_SIZE_PX = 16


def render_frame(domain: Domain, seed: int, *, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the street of a seed as one domain's camera sees it.

    The same arguments give the same bytes on every call and in every process; the same seed gives the same street at
    every size. No street is shared between domains.

    Args:
        domain: "source" looks like a simulator in daylight, "target" like a camera at dusk, in haze or in rain.
        seed: number of the frame, 0 or more.
        height: of the image, in pixels.
        width: of the image, in pixels; twice the height shows the view a car camera has.

    Returns:
        (H, W, 3) RGB image and (H, W) label map in the train ids of label space "cityscapes19".

    Raises:
        ValueError: unknown domain, negative seed, or a side below `MIN_SIZE_PX`.
    """
    domains = get_args(Domain)
    if domain not in domains:
        raise ValueError(f"domain={domain!r} is not known; use one of {', '.join(domains)}")
    if seed < 0:
        raise ValueError(f"seed={seed} is negative; use 0 or more")
    if min(height, width) < MIN_SIZE_PX:
        raise ValueError(f"height={height}, width={width}: a frame needs at least {MIN_SIZE_PX} pixels each way")
    layout_seed, pixel_seed = np.random.SeedSequence([domains.index(domain), seed]).spawn(2)
    scene = sample_scene(domain, layout_seed)
    raster = rasterise(scene.solids, Camera(scene.view, height, width))
    return as_seen(domain, raster, pixel_seed), raster.labels
