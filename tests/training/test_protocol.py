"""How accuracy is measured: at the ground truth's full size, per class, and as means over 19, 16 and 13 classes."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from runtime.labels import LABEL_SPACES
from runtime.metrics import ConfusionMatrix
from training.__main__ import main
from training.checkpoint import NetworkSpec, save_network
from training.data.config import CityscapesConfig
from training.data.open import open_labelled_frames
from training.device import Compute
from training.evaluate import evaluate
from training.networks.config import DeepLabV2Config
from training.networks.network import SegmentationNetwork

SPACE = LABEL_SPACES["cityscapes19"]
NARROW = ("wall", "fence", "pole")
NOT_IN_SYNTHIA = ("terrain", "truck", "train")


class RedIsSky(nn.Module):
    """Logits at an eighth of the input: sky where it is red, road elsewhere."""

    align_corners = False

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def logits(self, image: Tensor) -> Tensor:
        self.seen.append(tuple(image.shape))
        red = nn.functional.avg_pool2d(image[:, 2:], 8)  # BGR
        logits = torch.full((1, 19, *red.shape[2:]), -1e9)
        logits[:, SPACE.train_id("road")], logits[:, SPACE.train_id("sky")] = 0.0, red[:, 0]
        return logits


def plant_cityscapes(root: Path, name: str, image: np.ndarray[Any, Any], ids: np.ndarray[Any, Any]) -> None:
    for folder in ("leftImg8bit/val/ulm", "gtFine/val/ulm"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / f"leftImg8bit/val/ulm/{name}_leftImg8bit.png")
    Image.fromarray(ids).save(root / f"gtFine/val/ulm/{name}_gtFine_labelIds.png")


def test_full_size_truth_is_counted_pixel_by_pixel_though_the_network_sees_half(
    tmp_path: Path, compute: Compute
) -> None:
    """The left half is red and so predicted sky; one column of it, too thin for half size, is a pole, one is void."""
    image = np.zeros((1024, 2048, 3), dtype=np.uint8)
    image[:, :1024, 0] = 255
    ids = np.full((1024, 2048), 7, dtype=np.uint8)  # road
    ids[:, :1024] = 23  # sky
    ids[:, 100] = 17  # pole
    ids[:, 301] = 3  # out of roi
    plant_cityscapes(tmp_path, "ulm_000000_000019", image, ids)
    config = CityscapesConfig(layout="cityscapes", root=tmp_path, split="val")
    spec = NetworkSpec(
        model=DeepLabV2Config(kind="deeplab_v2", backbone="resnet18", input="bgr_caffe", network_hw=(512, 1024)),
        label_space="cityscapes19",
    )
    network = RedIsSky()
    frames = open_labelled_frames(config, SPACE)
    matrix = evaluate(cast(SegmentationNetwork, network), spec, frames, compute, title="test")
    assert network.seen == [(1, 3, 512, 1024)]
    counts = {
        (SPACE.names[true], SPACE.names[predicted]): int(matrix.counts[true, predicted])
        for true, predicted in np.argwhere(matrix.counts)
    }
    assert sum(counts.values()) == 1024 * 2047
    assert counts["pole", "sky"] == 1024
    # The edge of the red half may move by less than a cell of 16 pixels.
    assert counts["sky", "sky"] + counts.get(("sky", "road"), 0) == 1024 * 1022
    assert counts["sky", "sky"] > 1024 * (1022 - 16)
    assert counts["road", "road"] > 1024 * (1024 - 16)


def hand_made() -> ConfusionMatrix:
    """Class c is hit c + 1 times and taken once for the next class, so that its IoU is (c + 1) / (c + 3)."""
    matrix = ConfusionMatrix(19)
    for train_id in range(19):
        matrix.counts[train_id, train_id] = train_id + 1
        matrix.counts[train_id, (train_id + 1) % 19] = 1
    return matrix


def expected_mean(names: tuple[str, ...]) -> float:
    ious = [Fraction(SPACE.train_id(name) + 1, SPACE.train_id(name) + 3) for name in names]
    return float(100 * sum(ious) / len(ious))


def test_iou_of_each_class_is_the_one_worked_by_hand() -> None:
    iou = hand_made().iou_by_name(SPACE.names)
    assert (iou["road"], iou["sidewalk"], iou["pole"], iou["bicycle"]) == (33.33, 50.0, 75.0, 90.48)
    assert list(iou.values()) == [round(100 * (c + 1) / (c + 3), 2) for c in range(19)]


def test_means_over_19_16_and_13_classes_are_those_worked_by_hand() -> None:
    sixteen = tuple(name for name in SPACE.names if name not in NOT_IN_SYNTHIA)
    thirteen = tuple(name for name in sixteen if name not in NARROW)
    assert (LABEL_SPACES["synthia16"].names, LABEL_SPACES["synthia13"].names) == (sixteen, thirteen)
    # The published sets of train ids.
    assert [SPACE.train_id(name) for name in thirteen] == [0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18]
    matrix = hand_made()
    assert matrix.miou() == pytest.approx(expected_mean(SPACE.names))
    for names in (sixteen, thirteen):
        assert matrix.miou([SPACE.train_id(name) for name in names]) == pytest.approx(expected_mean(names))
    # The sum of (c + 1) / (c + 3) is 19 - 2 (1/3 + 1/4 + ... + 1/21) = 19 - 2 * 2.14536.
    assert matrix.miou() == pytest.approx(77.417, abs=1e-3)


def test_second_mean_leaves_classes_out_of_the_mean_but_not_out_of_the_predictions() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 0, 1, 2]], np.uint8), np.array([[0, 2, 1, 2]], np.uint8))
    assert matrix.miou([0, 1]) == 75.0


@pytest.mark.parametrize("space", ["synthia16", "cityscapes19"])
def test_report_has_the_mean_of_13_where_the_space_is_synthias(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_settings: Callable[..., dict[str, Any]]
) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        image, ids = rng.integers(0, 256, (32, 48, 3), np.uint8), rng.integers(0, 34, (32, 48), np.uint8)
        plant_cityscapes(tmp_path, f"ulm_{number}", image, ids)
    config = make_settings(tmp_path, tmp_path / "out")
    test = {"layout": "cityscapes", "root": str(tmp_path), "split": "val"}
    config |= {"label_space": space, "target": {"adapt": test, "test": test}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"training": config}))
    spec = NetworkSpec(
        model=DeepLabV2Config.model_validate(config["model"]), label_space=space, provenance={"statistics_share": 0.0}
    )
    (tmp_path / "out").mkdir()
    for path in (tmp_path / "source.safetensors", tmp_path / "out/adapted.safetensors"):
        save_network(path, spec.build(), spec)
    assert main(["evaluate", str(tmp_path / "run.yaml")]) == 0
    captured = capsys.readouterr()
    figures, report = json.loads(captured.out), json.loads((tmp_path / "out/report.json").read_text())
    assert ("adapted_miou13" in figures, "mean of 13" in captured.err) == ((space == "synthia16"),) * 2
    for title, key in (("source only", "source_miou"), ("adapted", "adapted_miou")):
        iou = report[title]["iou"]
        assert figures[key] == report[title]["miou"] == pytest.approx(np.mean(list(iou.values())), abs=0.01)
        if space == "synthia16":
            kept = [value for name, value in iou.items() if name not in NARROW]
            assert len(kept) == 13
            assert figures[f"{key}13"] == report[title]["miou13"] == pytest.approx(np.mean(kept), abs=0.01)
