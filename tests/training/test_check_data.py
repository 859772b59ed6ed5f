"""`check-data`: what it counts, everything it finds at once, and the labels it never touches."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from training.__main__ import main
from training.pictures import CAPTION_HEIGHT

HW = (32, 64)
SCHEDULE: dict[str, Any] = {
    "views": {"train_hw": [32, 64], "scale": [1.0, 1.0], "crop_hw": [16, 32]},
    "iterations": 1,
    "batch_size": 2,
}


def write(path: Path, array: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def plant_image(path: Path, hw: tuple[int, int] = HW) -> None:
    write(path, np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8))


def plant_gta5(root: Path, count: int = 4) -> None:
    """A quarter sky (23), a quarter void (0), a half road (7)."""
    ids = np.full(HW, 7, dtype=np.uint8)
    ids[:8], ids[8:16] = 23, 0
    for number in range(count):
        plant_image(root / f"images/{number:05d}.png")
        write(root / f"labels/{number:05d}.png", ids)


def plant_cityscapes(root: Path, split: str, count: int, hw: tuple[int, int] = HW) -> None:
    """Cars (26) with a licence plate (255) in the corner."""
    ids = np.full(hw, 26, dtype=np.uint8)
    ids[0, 0] = 255
    for number in range(count):
        name = f"{split}/ulm/ulm_{number:06d}_000019"
        plant_image(root / f"leftImg8bit/{name}_leftImg8bit.png", hw)
        write(root / f"gtFine/{name}_gtFine_labelIds.png", ids)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Labelled source and test frames, and frames to adapt to whose labels lie beside them."""
    plant_gta5(tmp_path / "gta5")
    plant_cityscapes(tmp_path / "city", "train", 3)
    plant_cityscapes(tmp_path / "city", "val", 2)
    city = {"layout": "cityscapes", "root": str(tmp_path / "city")}
    return {
        "output": str(tmp_path / "out"),
        "label_space": "cityscapes19",
        "workers": 0,
        "model": {"kind": "deeplab_v2", "backbone": "resnet18", "network_hw": [16, 32]},
        "source": {
            "kind": "train",
            "frames": {"layout": "gta5", "root": str(tmp_path / "gta5")},
            "optimizer": {},
            **SCHEDULE,
        },
        "target": {"adapt": {**city, "split": "train"}, "test": {**city, "split": "val"}},
        "adaptation": {"method": {"name": "iapc"}, "memory_hw": [32, 64], **SCHEDULE},
    }


def check(settings: dict[str, Any], *arguments: str, status: int = 0) -> dict[str, Any]:
    """Run the command and give what it wrote."""
    folder = Path(settings["output"]).parent
    (folder / "run.yaml").write_text(yaml.safe_dump({"training": settings}))
    assert main(["check-data", str(folder / "run.yaml"), *arguments]) == status
    document: dict[str, Any] = json.loads((folder / "out/data.json").read_text())
    return document


# What is counted


def test_frames_sizes_ids_and_classes_are_counted(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = check(settings)
    source, adapt, test = (document[key] for key in ("source.frames", "target.adapt", "target.test"))
    assert [(part["frames"], part["looked_at"]) for part in (source, adapt, test)] == [(4, 4), (3, 3), (2, 2)]
    assert source["sizes"] == {"32x64": 4}
    assert source["label_ids"] == {
        "0": {"name": "void", "pixels": 4 * 512},
        "7": {"name": "road", "pixels": 4 * 1024},
        "23": {"name": "sky", "pixels": 4 * 512},
    }
    percent = {name: value for name, value in source["class_percent"].items() if value}
    assert percent == {"road": pytest.approx(200 / 3, abs=1e-3), "sky": pytest.approx(100 / 3, abs=1e-3)}
    assert (len(source["class_percent"]), source["ignored_percent"]) == (19, 25.0)
    assert test["label_ids"]["255"] == {"name": "void", "pixels": 2}
    assert [part["faults"] for part in (source, adapt, test)] == [[], [], []]
    captured = capsys.readouterr()
    figures = json.loads(captured.out)
    assert figures["frames"] == {"source.frames": 4, "target.adapt": 3, "target.test": 2}
    assert figures["data"] == str(tmp_path / "out/data.json")
    rows = {line[:18].strip(): line[18:].split() for line in captured.err.splitlines()}
    assert (rows["road"], rows["car"], rows["train"]) == (["66.667", "never"], ["never", "100.000"], ["never", "never"])


def test_contact_sheet_shows_every_set_and_the_labels_of_the_labelled(settings: dict[str, Any], tmp_path: Path) -> None:
    check(settings)
    sheet = np.asarray(Image.open(tmp_path / "out/preview.png"))
    # Five columns of 64 pixels with gaps of 4; four rows of 32 below the captions, the last for the source alone.
    assert sheet.shape == (CAPTION_HEIGHT + 4 * 36 - 4, 5 * 68 - 4, 3)
    assert sheet[CAPTION_HEIGHT + 20, 68 + 10].tolist() == [128, 64, 128]
    assert sheet[CAPTION_HEIGHT + 10, 4 * 68 + 10].tolist() == [0, 0, 142]
    assert sheet[CAPTION_HEIGHT + 3 * 36 + 10, 4 * 68 + 10].tolist() == [255, 255, 255]


def test_wide_frames_are_shown_smaller(settings: dict[str, Any], tmp_path: Path) -> None:
    plant_image(tmp_path / "wide/a.png", (700, 1400))
    plant_image(tmp_path / "wide/b.png", (700, 1400))
    settings["model"]["network_hw"] = [352, 704]
    settings["source"] = {"kind": "checkpoint", "path": "none"}
    settings["target"] = {"adapt": {"layout": "folder", "root": str(tmp_path / "wide")}}
    check(settings)
    assert np.asarray(Image.open(tmp_path / "out/preview.png")).shape == (CAPTION_HEIGHT + 2 * 324 - 4, 640, 3)


def test_limit_looks_at_frames_evenly_spread(settings: dict[str, Any], tmp_path: Path) -> None:
    for number in (0, 3):
        plant_image(tmp_path / f"gta5/images/{number:05d}.png", (34, 64))
        write(tmp_path / f"gta5/labels/{number:05d}.png", np.full((34, 64), 7, dtype=np.uint8))
    source = check(settings, "--limit", "2", status=0)["source.frames"]
    assert (source["frames"], source["looked_at"], source["sizes"]) == (4, 2, {"34x64": 2})


def test_limit_must_be_positive(settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"training": settings}))
    assert main(["check-data", str(tmp_path / "run.yaml"), "--limit", "0"]) == 2
    assert "--limit 0: expected a number of frames, at least 1" in capsys.readouterr().err


def test_loader_processes_find_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "gta5/labels/00001.png").unlink()
    alone = check(settings, status=1)
    assert check({**settings, "workers": 1}, status=1) == alone


def test_source_that_is_given_needs_no_source_data(settings: dict[str, Any]) -> None:
    settings["source"] = {"kind": "checkpoint", "path": "none"}
    assert list(check(settings)) == ["target.adapt", "target.test", "overlaps"]


def test_preset_is_resolved_next_to_the_output(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["adaptation"] = {"preset": "iapc_code", "iterations": 7}
    check(settings)
    adaptation = json.loads((tmp_path / "out/check-data.config.json").read_text())["adaptation"]
    assert (adaptation["preset"], adaptation["iterations"], adaptation["batch_size"]) == ("iapc_code", 7, 6)
    assert adaptation["optimizer"]["backbone_multiplier"] == 3.0
    assert adaptation["clean_forward"] == {"frame_hw": [512, 1024]}


# Everything that is wrong, at once


def test_every_fault_of_every_set_is_listed_and_nothing_stops_the_check(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gta5, city = tmp_path / "gta5", tmp_path / "city"
    image = gta5 / "images/00000.png"
    image.write_bytes(image.read_bytes()[:-300])
    write(gta5 / "labels/00001.png", np.full((32, 63), 7, dtype=np.uint8))
    (gta5 / "labels/00002.png").unlink()
    unknown = np.full(HW, 7, dtype=np.uint8)
    unknown[0, :3], unknown[1, 0] = 77, 200
    write(gta5 / "labels/00003.png", unknown)
    (city / "leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png").write_bytes(b"no image")
    document = check(settings, status=1)
    faults = document["source.frames"]["faults"]
    assert len(faults) == 4
    assert faults[0].startswith(f"image {image} cannot be read")
    assert faults[1] == "label of images/00001.png is 32x63 pixels (height x width) but the frame is 32x64"
    assert faults[2].startswith(f"label {gta5 / 'labels/00002.png'} cannot be read")
    assert faults[3].endswith("holds ids that the data set does not define: 77 (3 pixels), 200 (1 pixels)")
    assert document["source.frames"]["label_ids"]["77"] == {"name": "undefined", "pixels": 3}
    (adapt_fault,) = document["target.adapt"]["faults"]
    assert "ulm_000001_000019_leftImg8bit.png cannot be read" in adapt_fault
    assert document["target.test"]["class_percent"]["car"] == 100.0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert all(f"fault: source.frames: {fault}" in captured.err for fault in faults)
    assert f"error: 5 faults would stop this run; all are listed in {tmp_path / 'out/data.json'}" in captured.err
    assert (tmp_path / "out/preview.png").is_file()


def test_image_and_label_of_one_frame_that_are_both_damaged_are_both_told(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    for folder in ("images", "labels"):
        (tmp_path / f"gta5/{folder}/00002.png").write_bytes(b"")
    faults = check(settings, status=1)["source.frames"]["faults"]
    assert [fault.split()[0] for fault in faults] == ["image", "label"]


def test_long_lists_are_whole_in_the_document_and_short_on_the_screen(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_gta5(tmp_path / "gta5", 25)
    for number in range(25):
        (tmp_path / f"gta5/images/{number:05d}.png").write_bytes(b"")
    assert len(check(settings, status=1)["source.frames"]["faults"]) == 25
    assert "fault: source.frames: and 5 more, listed in data.json" in capsys.readouterr().err


def test_set_that_cannot_be_opened_does_not_hide_the_others(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "gta5").rename(tmp_path / "elsewhere")
    document = check(settings, status=1)
    assert document["source.frames"]["faults"] == [
        f"data root {tmp_path / 'gta5'} is not a folder; expected images/*.png below it"
    ]
    assert document["target.test"]["looked_at"] == 2


def test_frames_too_large_for_the_deploy_graph_are_a_fault_where_they_are_deployed(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["model"]["network_hw"] = [15, 32]
    document = check(settings, status=1)
    (fault,) = document["target.adapt"]["faults"]
    assert fault == (
        "3 frames of 32x64 (height x width) are more than twice model.network_hw=(15, 32);"
        " use a network_hw of at least (16, 32)"
    )
    assert len(document["target.test"]["faults"]) == 1
    # Training frames are brought to views.train_hw, however large they are.
    plant_gta5(tmp_path / "gta5", 1)
    plant_image(tmp_path / "gta5/images/00000.png", (96, 192))
    write(tmp_path / "gta5/labels/00000.png", np.full((96, 192), 7, dtype=np.uint8))
    assert check(settings, status=1)["source.frames"]["faults"] == []


def test_one_frame_to_adapt_to_is_a_fault(settings: dict[str, Any]) -> None:
    settings["target"]["adapt"] = {"layout": "streets", "domain": "target", "first": 0, "count": 1} | {
        "height": 32,
        "width": 64,
    }
    assert check(settings, status=1)["target.adapt"]["faults"][0].startswith("1 frame; adaptation needs at least 2")


# What would spoil a run


def test_a_good_data_set_has_no_warning(settings: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    settings["source"]["frames"] = {"layout": "streets", "domain": "source", "first": 0, "count": 60} | {
        "height": 64,
        "width": 128,
    }
    del settings["target"]["test"]
    document = check(settings)
    assert document["target.adapt"]["warnings"] == []
    assert document["source.frames"]["warnings"] == []
    assert json.loads(capsys.readouterr().out)["warnings"] == 0


def test_classes_without_a_pixel_are_told_with_what_it_means(settings: dict[str, Any]) -> None:
    document = check(settings)
    (source,), (test,) = document["source.frames"]["warnings"], document["target.test"]["warnings"]
    assert source.startswith("in 4 frames no pixel of sidewalk, building, wall")
    assert source.endswith("bicycle: cannot be learnt")
    assert "road" not in source
    assert test.endswith("cannot be measured and leave the mean")


def test_labels_that_are_mostly_ignored_are_told(settings: dict[str, Any], tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"gta5/labels/{number:05d}.png", np.zeros(HW, dtype=np.uint8))
    assert check(settings)["source.frames"]["warnings"] == [
        "100% of the pixels are of no class of label_space; check that the layout fits"
    ]


def test_few_small_and_stretched_frames_are_told(settings: dict[str, Any]) -> None:
    settings["adaptation"] |= {"batch_size": 4, "memory_hw": [48, 80]}
    settings["adaptation"]["views"] = {"train_hw": [48, 80], "scale": [1.0, 1.0], "crop_hw": [40, 32]}
    settings["model"]["network_hw"] = [16, 34]
    size = "3 frames of 32x64 (height x width) are"
    assert check(settings)["target.adapt"]["warnings"] == [
        "3 frames are fewer than a batch of 4",
        f"{size} smaller than views.crop_hw=(40, 32): they would be enlarged, and blurred",
        f"{size} of another shape than (16, 34): made 1.06 times as wide",
    ]


def test_frames_listed_twice_or_alike_in_name_are_told(settings: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a.png", "A.png", "b.png"):
        plant_image(tmp_path / "camvid/dusk" / name)
    (tmp_path / "camvid/splits").mkdir()
    (tmp_path / "camvid/splits/all.txt").write_text("dusk/a.png\ndusk/A.png\ndusk/b.png\ndusk/b.png\n")
    settings["target"]["adapt"] = {"layout": "camvid", "root": str(tmp_path / "camvid"), "split": "all"}
    assert check(settings)["target.adapt"]["warnings"] == [
        "1 frames are listed more than once and count as often, the first dusk/b.png",
        "2 frames differ in suffix or letter case alone, the first dusk/A.png and dusk/a.png:"
        " results named after them overwrite each other",
    ]


def test_frames_that_two_sets_share_are_told(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["target"]["adapt"]["split"] = "val"
    name = "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png"
    assert check(settings)["overlaps"] == [f"target.test has 2 frames of target.adapt too, such as {name}"]


def test_equal_names_below_other_roots_are_no_overlap(settings: dict[str, Any], tmp_path: Path) -> None:
    plant_cityscapes(tmp_path / "other", "val", 2)
    settings["target"]["adapt"] |= {"split": "val", "root": str(tmp_path / "other")}
    assert check(settings)["overlaps"] == []


# Source-free


class Watch:
    """Paths this process opens or lists; an audit hook cannot be taken off again."""

    def __init__(self) -> None:
        self.is_on, self.paths = False, list[str]()
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and event in ("open", "os.listdir", "os.scandir"):
            self.paths.append(str(arguments[0]))


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.is_on = False


def test_labels_of_the_frames_to_adapt_to_are_never_opened(
    settings: dict[str, Any], tmp_path: Path, watch: Watch
) -> None:
    watch.is_on = True
    document = check(settings)
    watch.is_on = False
    assert "label_ids" not in document["target.adapt"]
    assert any("leftImg8bit/train" in path for path in watch.paths)
    assert any("gtFine/val" in path for path in watch.paths)
    assert [path for path in watch.paths if "gtFine/train" in path] == []
