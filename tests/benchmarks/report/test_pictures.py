import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report.images import labels_uri, photograph_uri
from benchmarks.report.pictures import CHANGES, changes_of
from benchmarks.report.scenes import Scene, choose
from tests.benchmarks.report.opened import Opened
from training.checkpoint import read_network, save_tensors
from training.preparation import FORMAT

Labels = NDArray[np.uint8]


def decoded(uri: str) -> Image.Image:
    assert uri.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def labels(*ids: int) -> Labels:
    return np.array([ids], dtype=np.uint8)


def scene(name: str, num_right_before: int, num_right_after: int) -> Scene:
    """Ten pixels, of which so many are right."""
    truth = np.zeros((1, 10), dtype=np.uint8)
    before, after = np.ones_like(truth), np.ones_like(truth)
    before[0, :num_right_before] = after[0, :num_right_after] = 0
    return Scene(name, np.zeros((1, 10, 3), dtype=np.uint8), before, after, truth)


def test_label_maps_keep_their_ids_and_hide_what_has_none() -> None:
    ids = np.array([[0, 1], [1, 255]], dtype=np.uint8)
    picture = decoded(labels_uri(ids, [(1, 2, 3), (200, 0, 9)])).convert("RGBA")
    assert [picture.getpixel(at) for at in ((0, 0), (1, 0), (0, 1))] == [
        (1, 2, 3, 255),
        (200, 0, 9, 255),
        (200, 0, 9, 255),
    ]
    hidden = picture.getpixel((1, 1))
    assert isinstance(hidden, tuple)
    assert hidden[3] == 0


def test_wide_pictures_are_shrunk_and_labels_are_not_mixed() -> None:
    ids = np.tile(np.array([[0, 1]], dtype=np.uint8), (4, 1500))
    picture = decoded(labels_uri(ids, [(0, 0, 0), (255, 255, 255)])).convert("RGB")
    assert picture.width == 1024
    assert set(np.asarray(picture).ravel().tolist()) <= {0, 255}
    assert decoded(photograph_uri(np.zeros((10, 3000, 3), dtype=np.uint8), max_width=300)).size == (300, 1)


def test_changes_tell_what_became_right_and_wrong() -> None:
    image = np.zeros((1, 5, 3), dtype=np.uint8)
    found = Scene("a", image, before=labels(1, 1, 2, 2, 2), after=labels(1, 2, 1, 3, 1), truth=None)
    told = changes_of(found, labels(1, 1, 1, 1, 255))
    names = [CHANGES[place][0] if place != 255 else None for place in told[0]]
    assert names == ["right before and after", "became wrong", "became right", "wrong before and after", None]


def test_typical_scene_is_on_top_and_extremes_are_shown() -> None:
    scenes = [scene(str(gain), 0, gain) for gain in (5, 1, 9, 3, 2, 6, 4, 8, 7)]
    top, others = choose(scenes)
    assert (top.name, top.why) == ("5", "median gain")
    told = {one.name: one.why for one in others}
    assert told["9"] == "greatest gain"
    assert told["1"] == "smallest gain"
    assert len(others) == 6
    assert list(told) == [one.name for one in scenes if one.name in told]


def test_scenes_without_truth_are_chosen_by_place() -> None:
    ids = np.zeros((1, 1), dtype=np.uint8)
    scenes = [Scene(str(place), ids, ids, ids, None) for place in range(9)]
    top, others = choose(scenes)
    assert top.name == "4"
    assert {one.why for one in others} == {"evenly spread"}


def test_single_frame_is_on_top_alone() -> None:
    top, others = choose([scene("only", 3, 4)])
    assert (top.name, others) == ("only", [])


@pytest.mark.parametrize("share", [0.7, 0.3])
def test_what_was_prepared_is_known_by_what_it_decided(folder: Path, page: Callable[..., Opened], share: float) -> None:
    """The folder's name fits; its network is one that another run started from where it decided otherwise."""
    (path,) = (folder / "training" / "prepared").glob("*/initial.safetensors")
    tensors, spec = read_network(path)
    path.unlink()
    spec = spec.with_provenance(statistics_share=share)
    save_tensors(path, tensors, {"kind": "iapc-network-2", "spec": spec.model_dump_json()})
    assert ("is of another run" in page()["pseudo_labels"].text) is (share == 0.3)


def test_what_an_older_version_prepared_is_found(page: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.report.prepared.FORMAT", FORMAT + 1)
    assert "Counted on" in page()["pseudo_labels"].text


def test_prepared_folder_that_is_gone_is_no_failure(folder: Path, page: Callable[..., Opened]) -> None:
    (folder / "training" / "prepared").rename(folder / "elsewhere")
    found = page()
    assert re.search(r"is not in \S+prepared any more", found["importance"].text)
    assert "Most alike" in found["prototypes"].text
