"""Tileable textures, made once per domain: the simulator's are smooth and regular, the camera's rough and dirty."""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ASPHALT",
    "BARE",
    "CLOTH",
    "CLOUDS",
    "FACADE",
    "FOLIAGE",
    "GRASS",
    "MASONRY",
    "PAVING",
    "Domain",
    "atlas",
    "noise",
    "rain",
    "tile",
]

Domain = Literal["source", "target"]

TILE_PX = 256
BARE, ASPHALT, PAVING, FACADE, MASONRY, FOLIAGE, GRASS, CLOTH, CLOUDS = range(9)


@cache
def atlas(domain: Domain) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Relative brightness of all textures, and how finely they repeat.

    Returns:
        (9, 256, 256), zero-mean, to be added to 1; and (9,) texels per metre.
    """
    layers = _source_layers() if domain == "source" else _target_layers()
    texels_per_m = [32.0, 42.0, 64.0, 48.0, 64.0, 40.0, 50.0, 90.0, 1.0]
    return np.stack(layers).astype(np.float32), np.array(texels_per_m, dtype=np.float32)


@cache
def noise() -> NDArray[np.float32]:
    """(512, 512, 3) unit normal noise of a sensor."""
    return np.random.default_rng(2).standard_normal((512, 512, 3), dtype=np.float32)


@cache
def rain() -> NDArray[np.float32]:
    """(512, 512) brightness of falling drops, 0-1: short slanted streaks."""
    drops = np.random.default_rng(3).random((512, 512)) > 0.9965
    streaks = sum(np.roll(drops, (2 * step, -step // 3), axis=(0, 1)) for step in range(9))
    return np.minimum(np.asarray(streaks, dtype=np.float32), 1.0)


def tile(texture: NDArray[np.float32], height: int, width: int, offset: tuple[int, int]) -> NDArray[np.float32]:
    """Repeat a tileable texture over an image, starting at `offset`."""
    rows = texture[(np.arange(height) + offset[0]) % texture.shape[0]]
    num_repeats = (width + offset[1]) // texture.shape[1] + 1
    # Joining whole blocks is several times faster than gathering single texels.
    return np.concatenate([rows[:, offset[1] :], *[rows] * num_repeats], axis=1)[:, :width]


def _source_layers() -> list[NDArray[np.float64]]:
    return [
        np.zeros((TILE_PX, TILE_PX)),
        0.03 * _fractal(10, 0.5),
        0.10 * _slabs(64, 64, joint=2) + 0.02 * _fractal(11, 0.5),
        0.07 * _slabs(32, TILE_PX, joint=2),
        0.12 * _slabs(32, 64, joint=2),
        0.22 * np.sign(_fractal(12, 1.2, longest=24)),
        0.10 * _fractal(13, 0.8, longest=40),
        np.zeros((TILE_PX, TILE_PX)),
        _fractal(14, 3.0),
    ]


def _target_layers() -> list[NDArray[np.float64]]:
    dirt = _fractal(20, 2.2)
    return [
        0.04 * _fractal(21, 1.5),
        0.10 * _fractal(22, 0.3) + 0.10 * dirt,
        0.09 * _slabs(32, 32, joint=2) + 0.08 * _fractal(23, 0.4) + 0.08 * dirt,
        0.10 * _fractal(24, 0.6) + 0.12 * dirt,
        0.20 * _slabs(10, 26, joint=2) + 0.10 * _fractal(25, 0.5) + 0.08 * dirt,
        0.34 * _fractal(26, 0.9, longest=60),
        0.22 * _fractal(27, 0.5, longest=60) + 0.10 * dirt,
        0.12 * _fractal(28, 1.0, longest=60),
        _fractal(29, 2.4),
    ]


def _fractal(seed: int, slope: float, longest: int = TILE_PX) -> NDArray[np.float64]:
    """Unit-variance noise whose amplitude falls as frequency ** -slope, without waves over `longest` texels."""
    white = np.random.default_rng(seed).standard_normal((TILE_PX, TILE_PX))
    frequency = np.hypot(np.fft.fftfreq(TILE_PX)[:, None], np.fft.rfftfreq(TILE_PX)) * TILE_PX
    gain = np.where(frequency < TILE_PX / longest, 0.0, np.maximum(frequency, 1.0) ** -slope)
    shaped = np.fft.irfft2(np.fft.rfft2(white) * gain, s=white.shape)
    normalised: NDArray[np.float64] = (shaped - shaped.mean()) / shaped.std()
    return normalised


def _slabs(height: int, width: int, joint: int) -> NDArray[np.float64]:
    """Rows of slabs with dark joints, every other row shifted by half a slab; each slab has its own brightness."""
    rows, columns = np.mgrid[:TILE_PX, :TILE_PX]
    shifted = (columns + (rows // height % 2) * (width // 2)) % TILE_PX
    is_joint = (rows % height < joint) | (shifted % width < joint)
    tones = np.random.default_rng(height * width).normal(0.3, 0.5, (TILE_PX // height + 1, TILE_PX // width + 1))
    return np.where(is_joint, -2.0, tones[rows // height, shifted // width])
