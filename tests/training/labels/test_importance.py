"""Importance maps: what is written, what is not made twice, and that they are cut where the labels are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from runtime.errors import DataError
from runtime.images import write_png
from training.checkpoint import NetworkSpec
from training.data.files import ImageFiles
from training.data.layouts import folder_images
from training.device import Compute
from training.labels.importance import ImportanceMaps, make_importance_maps
from training.losses.terms import ImportanceForm, importance_map
from training.networks.deeplab_v2 import DeepLabV2
from training.networks.network import NetworkOutput, SegmentationNetwork, upsample
from training.views.crops import crop_labels, crop_map, draw_crop


@pytest.fixture
def frames(make_frames: Callable[..., Path], tmp_path: Path) -> ImageFiles:
    return folder_images(make_frames(tmp_path / "frames", count=3))


@pytest.fixture
def maps(tmp_path: Path) -> ImportanceMaps:
    return ImportanceMaps(tmp_path / "maps")


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("form", ["prob_ratio", "margin", "none"])
def test_map_is_the_importance_of_the_upsampled_logits_in_255_steps(
    network: DeepLabV2,
    spec: NetworkSpec,
    frames: ImageFiles,
    maps: ImportanceMaps,
    compute: Compute,
    form: ImportanceForm,
    align_corners: bool,
) -> None:
    network.eval().align_corners = align_corners
    make_importance_maps(network, spec, frames, maps, form=form, compute=compute)
    for index in range(3):
        with torch.no_grad():
            logits = network.logits(spec.frame_input()(torch.from_numpy(frames.image(index))[None], (32, 48)))
        expected = importance_map(upsample(logits, (32, 48), align_corners=align_corners), form)[0].numpy()
        written = maps.importance(index)
        assert written.shape == (32, 48)
        assert written.dtype == np.uint8
        assert np.abs(written / 255.0 - expected).max() <= 1 / 510 + 1e-6
        assert form == "none" or expected.std() > 0.01


class Counting(SegmentationNetwork):
    """The image for logits; counts what it is shown."""

    num_seen = 0

    def forward(self, image: Tensor) -> NetworkOutput:
        self.num_seen += 1
        return NetworkOutput(logits=image, features=image)


def test_maps_that_are_there_are_not_made_again(
    spec: NetworkSpec, frames: ImageFiles, maps: ImportanceMaps, compute: Compute
) -> None:
    network = Counting()
    maps.folder.mkdir()
    write_png(maps.path(1), np.full((32, 48), 9, dtype=np.uint8))
    make_importance_maps(network, spec, frames, maps, form="prob_ratio", compute=compute)
    assert network.num_seen == 2
    assert set(np.unique(maps.importance(1))) == {9}
    make_importance_maps(network, spec, frames, maps, form="prob_ratio", compute=compute)
    assert network.num_seen == 2
    assert sorted(path.name for path in maps.folder.iterdir()) == ["000000.png", "000001.png", "000002.png"]


def test_damaged_map_is_named(maps: ImportanceMaps) -> None:
    maps.folder.mkdir()
    write_png(maps.path(4), np.random.default_rng(0).integers(0, 255, (32, 48), dtype=np.uint8))
    maps.path(4).write_bytes(maps.path(4).read_bytes()[:200])
    with pytest.raises(DataError, match=r"importance .*000004\.png cannot be read .*delete the folder"):
        maps.importance(4)
    with pytest.raises(DataError, match=r"importance .*000005\.png cannot be read"):
        maps.importance(5)


@given(st.integers(0, 2**32), st.sampled_from([(16, 24), (40, 56), (64, 96)]))
def test_map_of_any_size_is_cut_where_the_labels_are(seed: int, map_hw: tuple[int, int]) -> None:
    """A box in the frame, drawn into labels at the frame's size and into a map at the network's."""
    rng = np.random.default_rng(seed)
    crop = draw_crop(rng, train_hw=(64, 96), scale=(0.8, 1.4), crop_hw=(32, 48), mirror=0.5)
    labels, values = np.zeros((64, 96), dtype=np.uint8), np.zeros(map_hw, dtype=np.uint8)
    # Edges at eighths of the frame lie on pixel borders at every size.
    top, left = int(rng.integers(0, 6)), int(rng.integers(0, 6))
    for array in (labels, values):
        down, across = array.shape[0] // 8, array.shape[1] // 8
        array[top * down : (top + 3) * down, left * across : (left + 3) * across] = 200
    label, value = crop_labels(labels, crop), crop_map(values, crop)
    assert value.shape == label.shape == (32, 48)
    # A blurred edge stays where it was: away from corners, which blur rounds, a pixel is bright if its label is.
    is_wrong = np.where(label > 0, value < 99, value > 101)
    inside = np.s_[2:-2, 2:-2]
    assert not (is_wrong & ~_near_edge(label))[inside].any()


def _near_edge(label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with another label within two steps, diagonals too."""
    height, width = label.shape
    padded = np.pad(label, 2, mode="edge")
    is_near = np.zeros(label.shape, dtype=np.bool_)
    for row, column in np.ndindex(5, 5):
        is_near |= padded[row : row + height, column : column + width] != label
    return is_near


def test_map_of_the_crops_own_size_is_cut_without_resampling() -> None:
    values = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    crop = draw_crop(np.random.default_rng(0), train_hw=(64, 96), scale=(1.0, 1.0), crop_hw=(32, 48), mirror=1.0)
    assert (crop_map(values, crop) == crop_labels(values, crop)).all()
