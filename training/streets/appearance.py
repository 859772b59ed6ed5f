"""How each domain's camera sees a raster: a simulator's clean daylight, or a real camera in poor weather and light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.streets.classes import ROAD, SIDEWALK, SKY
from training.streets.draws import Draws
from training.streets.raster import Raster
from training.streets.textures import CLOUDS, Domain, atlas, noise, rain, tile

__all__ = ["as_seen"]

Pixels = NDArray[np.float32]
Colour = tuple[float, float, float]

# The atlas layers' side is a power of two, so that wrapping is a mask.
_TEXEL_MASK = 255


@dataclass(frozen=True, slots=True)
class _Weather:
    """Light and air of one target frame; colours are RGB 0-1, densities per metre."""

    ambient: tuple[float, float, float]
    sky_low: tuple[float, float, float]
    sky_high: tuple[float, float, float]
    haze: float
    lamps: float
    wetness: float
    rain: float


def as_seen(domain: Domain, raster: Raster, seed: np.random.SeedSequence) -> NDArray[np.uint8]:
    """Colour image of a raster, (H, W, 3) RGB."""
    draws = Draws(np.random.default_rng(seed))
    return _from_simulator(raster, draws) if domain == "source" else _from_camera(raster, draws)


def _from_simulator(raster: Raster, draws: Draws) -> NDArray[np.uint8]:
    image = _surfaces("source", raster)
    sun = draws.uniform(0.95, 1.1)
    image *= np.array([1.02, 1.0, 0.97], dtype=np.float32) * np.float32(sun)
    _shade_street(image, raster, draws)
    high = np.array([0.20, 0.44, 0.86]) * draws.uniform(0.9, 1.1)
    _paint_sky(
        "source", image, raster, draws, (0.72, 0.86, 0.98), tuple(high), (1.0, 1.0, 1.0), draws.uniform(0.2, 0.9)
    )
    return _to_bytes(image)


def _from_camera(raster: Raster, draws: Draws) -> NDArray[np.uint8]:
    weather = _sample_weather(draws)
    image = _surfaces("target", raster)
    image *= np.array(weather.ambient, dtype=np.float32)
    clouds = tuple(0.75 * channel for channel in weather.sky_low)
    _paint_sky("target", image, raster, draws, weather.sky_low, weather.sky_high, clouds, draws.uniform(0.3, 0.8))
    light = _lamplight(raster, weather.lamps)
    image += light
    clear = np.exp(np.float32(-weather.haze) * raster.depth_m)[..., None]
    haze = np.array(weather.sky_low, dtype=np.float32)
    image -= haze
    image *= clear
    image += haze
    image += _glow(light)
    if weather.wetness:
        _reflect(image, raster, weather.wetness)
    if weather.rain:
        height, width = raster.labels.shape
        drops = tile(rain(), height, width, (draws.integer(0, 511), draws.integer(0, 511)))
        image += np.float32(weather.rain) * drops[..., None]
    return _through_lens(image, draws)


def _surfaces(domain: Domain, raster: Raster) -> Pixels:
    """Colour of every surface under even white light, textured in metres."""
    camera, numbers, depth = raster.camera, raster.numbers, raster.depth_m
    layers, texels_per_m = atlas(domain)
    height, width = depth.shape
    columns = (np.arange(width, dtype=np.float32) - np.float32(camera.centre_px)) / np.float32(camera.focal_px)
    rows = (np.float32(camera.horizon_px) - np.arange(height, dtype=np.float32))[:, None] / np.float32(camera.focal_px)
    scale = texels_per_m[raster.textures].take(numbers) * depth
    # Upright surfaces are mostly seen along x or along z, so the sum of both runs along either.
    is_upright = (~raster.is_ground).astype(np.float32).take(numbers)
    across = (columns + is_upright) * scale
    along = (1 + is_upright * (rows - 1)) * scale
    texel = (along.astype(np.int64) & _TEXEL_MASK) * (_TEXEL_MASK + 1) + (across.astype(np.int64) & _TEXEL_MASK)
    texture = layers.ravel().take(texel + (raster.textures * layers[0].size).take(numbers))
    # Texels smaller than a pixel average out.
    texture *= np.minimum(1.0, np.float32(1.6 * camera.focal_px) / scale)
    colours: Pixels = raster.colours.take(numbers, axis=0)
    colours *= (1 + texture)[..., None]
    return colours


def _shade_street(image: Pixels, raster: Raster, draws: Draws) -> None:
    """Hard shadow of one side's buildings over the ground, as the sun casts it."""
    if not draws.chance(0.6):
        return
    camera, depth = raster.camera, raster.depth_m
    columns = (np.arange(depth.shape[1]) + 0.5 - camera.centre_px) / camera.focal_px
    x = columns * depth - camera.view.bend_m(depth.astype(np.float64))
    sign, edge = draws.pick((-1, 1)), draws.uniform(1.0, 5.0)
    image[raster.is_ground[raster.numbers] & (sign * x > edge)] *= np.float32(0.62)


def _paint_sky(
    domain: Domain,
    image: Pixels,
    raster: Raster,
    draws: Draws,
    low: tuple[float, ...],
    high: tuple[float, ...],
    cloud: tuple[float, ...],
    cover: float,
) -> None:
    width = raster.labels.shape[1]
    rows, columns = np.nonzero(raster.labels == SKY)
    share = np.clip(1 - rows / max(1.0, raster.camera.horizon_px), 0, 1).astype(np.float32)[:, None]
    layer = atlas(domain)[0][CLOUDS]
    down = (rows * 300 // width + draws.integer(0, 255)) & _TEXEL_MASK
    across = (columns * 200 // width + draws.integer(0, 255)) & _TEXEL_MASK
    density = np.clip(0.6 * layer[down, across] + np.float32(cover - 0.5), 0, 0.9)[:, None]
    below, above, white = (np.array(colour, np.float32) for colour in (low, high, cloud))
    image[rows, columns] = (below + share * (above - below)) * (1 - density) + density * white


def _sample_weather(draws: Draws) -> _Weather:
    """One autumn evening's drive: the light falls from overcast to dusk, haze and rain come and go."""
    dusk = draws.uniform(0.0, 1.0)
    ambient = _towards((0.74, 0.76, 0.80), (0.46, 0.43, 0.50), dusk)
    glow = draws.pick(((0.80, 0.54, 0.38), (0.58, 0.50, 0.56), (0.78, 0.62, 0.44), (0.46, 0.48, 0.58)))
    grey = draws.uniform(0.56, 0.74)
    low = _towards((grey, grey, grey), glow, dusk)
    high = _towards((0.8 * grey, 0.8 * grey, 0.8 * grey), (0.20, 0.25, 0.40), dusk)
    is_wet = draws.chance(0.4)
    wetness = draws.uniform(0.3, 0.6) if is_wet else 0.0
    drops = draws.uniform(0.04, 0.10) if is_wet else 0.0
    return _Weather(ambient, low, high, draws.uniform(0.004, 0.014), 0.4 + 0.6 * dusk, wetness, drops)


def _towards(start: Colour, end: Colour, share: float) -> Colour:
    red, green, blue = (first + share * (last - first) for first, last in zip(start, end, strict=True))
    return red, green, blue


def _lamplight(raster: Raster, gain: float) -> Pixels:
    """Light that reaches the camera straight from lamps and lit windows."""
    light = np.zeros((*raster.labels.shape, 3), dtype=np.float32)
    lit = np.nonzero(raster.emissions.take(raster.numbers))
    numbers = raster.numbers[lit]
    light[lit] = np.float32(gain) * raster.emissions[numbers][:, None] * raster.colours[numbers]
    return light


def _glow(light: Pixels) -> Pixels:
    """Light scattered around lamps by air and lens."""
    height, width = light.shape[:2]
    small = Image.fromarray(_to_bytes(light * np.float32(0.5))).reduce(4)
    near = small.filter(ImageFilter.BoxBlur(width / 600))
    wide = near.filter(ImageFilter.BoxBlur(width / 140)).filter(ImageFilter.BoxBlur(width / 140))
    both = np.asarray(near, dtype=np.float32) + np.float32(3) * np.asarray(wide, dtype=np.float32)
    merged = Image.fromarray(np.minimum(both, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(merged, dtype=np.float32) * np.float32(1.1 / 255)


def _reflect(image: Pixels, raster: Raster, wetness: float) -> None:
    """Mirror what is above the horizon in the wet road, drawn out downwards."""
    height, width = raster.labels.shape
    horizon = int(np.clip(raster.camera.horizon_px, 1, height - 1))
    rows = np.arange(horizon, height)
    mirrored = Image.fromarray(_to_bytes(image[np.clip(2 * horizon - rows, 0, horizon)]))
    squeezed = mirrored.resize((width, max(1, len(rows) // 8)), Image.Resampling.BOX)
    streaks = np.asarray(squeezed.resize((width, len(rows)), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    below = raster.labels[horizon:]
    gain = np.where(below == ROAD, wetness, np.where(below == SIDEWALK, 0.4 * wetness, 0)).astype(np.float32)[..., None]
    image[horizon:] = image[horizon:] * (1 - 0.65 * gain) + streaks * gain


def _through_lens(image: Pixels, draws: Draws) -> NDArray[np.uint8]:
    """Vignetting, colour response, blur, coarse chroma and sensor noise."""
    height, width = image.shape[:2]
    rows, columns = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    fall = 1 - np.float32(draws.uniform(0.1, 0.3)) * (rows[:, None] ** 2 + columns**2) / 2
    # One camera: a cool white balance and pale colours, with what varies from frame to frame on top.
    balance = np.array([draws.uniform(0.86, 0.92), 1.0, draws.uniform(1.06, 1.14)])
    saturation = draws.uniform(0.5, 0.65)
    response = (saturation * np.eye(3) + (1 - saturation) / 3) * balance
    # Auto exposure brightens what is too dark, within the reach of a sensor.
    gain = np.clip(0.34 / image[::4, ::4].mean(), 1.0, 1.4)
    image = (image * fall[..., None]) @ (gain * response).astype(np.float32)
    levels = np.linspace(0, 1, 256) ** draws.uniform(0.95, 1.15) * 255
    developed = np.round(levels).astype(np.uint8)[_to_bytes(image)]
    soft = _soften(developed, draws.uniform(0.4, 0.9) * width / 512)
    soft += np.float32(draws.uniform(3, 6)) * tile(
        noise(), height, width, (draws.integer(0, 511), draws.integer(0, 511))
    )
    return np.clip(soft, 0, 255, out=soft).astype(np.uint8)


def _soften(image: NDArray[np.uint8], radius_px: float) -> Pixels:
    height, width = image.shape[:2]
    luma, *chroma = Image.fromarray(image).filter(ImageFilter.BoxBlur(radius_px)).convert("YCbCr").split()
    coarse = [plane.reduce(2).resize((width, height), Image.Resampling.BILINEAR) for plane in chroma]
    merged = Image.merge("YCbCr", (luma, *coarse)).convert("RGB")
    return np.asarray(merged, dtype=np.float32)


def _to_bytes(image: Pixels) -> NDArray[np.uint8]:
    scaled = image * np.float32(255)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
