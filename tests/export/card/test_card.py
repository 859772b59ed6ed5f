"""Model card and data statement: figures are the manifest's, silence is told, and no name becomes Markdown."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.__main__ import main
from export.card.data_statement import data_statement
from export.card.markdown import NOT_RECORDED, code_block, told
from export.card.model_card import model_card
from runtime.bundle.manifest import Manifest
from runtime.drift.features import describe
from runtime.drift.reference import reference_of
from runtime.files import sha256_of
from training.statistics.label_free import LabelFreeScores

FILES = ("fp32.onnx", "int8-cpu.onnx", "golden_frames.npy", "golden_labels.npy")
PROVENANCE = {
    "checkpoint_sha256": "c" * 64,
    "network": {"model": {"kind": "deeplab_v2", "backbone": "resnet18"}, "label_space": "cityscapes19"},
    "training": {
        "made_by": "adapt",
        "seed": 7,
        "source_sha256": "a" * 64,
        "lost_classes": [],
        "is_vetoed": False,
        "scores_before": {"entropy": 0.5249},
        "scores_after": {"entropy": 0.4417},
        "source_frames": {"layout": "gta5", "root": "/secret/games", "num_frames": 24966},
        "target_frames": {"layout": "cityscapes", "root": "/secret/fleet", "split": "train", "num_frames": 2975},
    },
    "adaptation": {"method": {"name": "iapc"}, "iterations": 300},
    "versions": {"torch": "2.14.1"},
    "revision": "d" * 40,
    "export": {
        "frames": {"layout": "folder", "root": "/secret/place"},
        "test": {"layout": "camvid", "split": "dusk"},
        "num_test_frames": 31,
        "budgets": {"fp32": {"min_label_agreement": 0.9999}, "int8": {"min_label_agreement": 0.98}, "bf16": {}},
    },
}


def parity(**described: Any) -> dict[str, Any]:
    classes = [{"name": "road", "share": 0.75, "recall": 0.9871}, {"name": "sky", "share": 0.25, "recall": 0.93219}]
    found = {"engine": "onnxruntime", "num_frames": 20, "label_agreement": 0.98915, "max_confidence_difference": 4}
    return {**found, "classes": classes, **described}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of small files: whoever writes a card looks no further than their bytes."""
    folder = tmp_path / "front"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(name.encode())
    write(folder)
    return folder


def write(folder: Path, **changes: Any) -> Manifest:
    """Write its manifest; arguments replace keys."""
    entry = {name: {"file": name, "sha256": sha256_of(folder / name), "num_bytes": len(name)} for name in FILES}
    classes = [{"name": "road", "colour": [128, 64, 128]}, {"name": "sky", "colour": [70, 130, 180]}]
    classes = changes.get("classes", classes)
    keys = [feature.key for feature in describe([one["name"] for one in classes])]
    integers = {
        "scheme": "u8s8",
        "range_method": "minmax",
        "calibration_sha256": "b" * 64,
        "num_calibration_frames": 32,
    }
    document = {
        "frame_height": 64,
        "frame_width": 96,
        "network_height": 32,
        "network_width": 48,
        "align_corners": True,
        "input": {"channel_order": "bgr", "mean": [104.0, 116.5, 122.7], "std": [1, 1, 1]},
        "artefacts": [
            {**entry["fp32.onnx"], "format": "onnx", "precision": "fp32", "not_run": "no engine here"},
            {
                **entry["int8-cpu.onnx"],
                "format": "onnx",
                "precision": "int8",
                "parity": [parity(miou=33.517, miou_change=-0.1449)],
                "quantization": integers,
            },
        ],
        "golden": {"frames": entry["golden_frames.npy"], "labels": entry["golden_labels.npy"], "num_frames": 2},
        "reference": reference_of(np.zeros((100, len(keys)), dtype=np.float32), keys).model_dump(),
        "provenance": PROVENANCE,
        **changes,
        "classes": classes,
    }
    manifest = Manifest.model_validate(document)
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2))
    return manifest


def card_of(manifest: Manifest) -> str:
    return model_card(manifest, name="front", manifest_sha256="e" * 64, signature="there is none")


def statement_of(manifest: Manifest) -> str:
    return data_statement(manifest, name="front", manifest_sha256="e" * 64)


def row(page: str, start: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_figures_are_the_manifests(bundle: Path) -> None:
    page = card_of(write(bundle))
    digest = sha256_of(bundle / "int8-cpu.onnx")
    assert (
        f"| int8-cpu.onnx | int8 | labels | 0.0 | onnxruntime | 20 | 0.989150 | 0.9321 sky | {NOT_RECORDED} |" in page
    )
    assert digest in page
    assert "| int8-cpu.onnx | onnxruntime | 33.52 | -0.14 |" in page
    assert "On at most 31 labelled target frames" in page
    assert row(page, "frame")[1] == "96x64 (width x height), uint8 RGB"
    assert row(page, "network sees")[1] == "48x32"
    assert row(page, "adapted checkpoint, SHA-256")[1] == "c" * 64
    assert row(page, "source network, SHA-256")[1] == "a" * 64
    assert row(page, "method")[1] == "iapc"
    assert row(page, "entropy") == ["entropy", "0.5249", "0.4417"]
    assert row(page, "0") == ["0", "road", "#804080", "0.7500"]
    assert "fp32.onnx was not run: no engine here" in page


def test_card_has_the_scores_that_there_are(bundle: Path) -> None:
    scores = LabelFreeScores(0.5, 3.2, 0.875, 17, 1.25).as_dict()
    training = {**PROVENANCE["training"], "scores_before": scores, "scores_after": scores}  # type: ignore[dict-item]
    page = card_of(write(bundle, provenance={**PROVENANCE, "training": training}))
    told = page.partition("Scores that need no labels:")[2].partition("All settings:")[0]
    rows = [line.strip("| ").split(" | ") for line in told.strip().splitlines()[2:]]
    assert rows == [[name.replace("_", "\\_"), str(value), str(value)] for name, value in scores.items()]


def test_budgets_are_those_of_what_is_in_the_bundle(bundle: Path) -> None:
    (budgets, _) = re.findall(r"```json\n(.*?)```", card_of(write(bundle)), re.DOTALL)
    assert json.loads(budgets) == {"fp32": {"min_label_agreement": 0.9999}, "int8": {"min_label_agreement": 0.98}}


def test_statement_counts_frames_and_tells_no_place(bundle: Path) -> None:
    page = statement_of(write(bundle))
    assert row(page, "source network was trained on")[1:] == ["layout gta5", "24966"]
    assert row(page, "network was adapted on, without labels")[1:] == ["layout cityscapes, split train", "2975"]
    assert row(page, "export, without labels")[1] == "layout folder"
    assert row(page, "labelled, for mIoU alone")[1:] == ["layout camvid, split dusk", "at most 31"]
    assert row(page, "- artefacts were compared on")[2] == "20"
    assert row(page, "- INT8 was calibrated on")[1:] == ["b" * 64, "32"]
    assert row(page, "- drift is judged against")[2] == "100"
    assert "holds 2 of these frames as they were taken" in page
    assert "secret" not in page


def test_network_that_was_left_as_it_was_was_not_adapted(bundle: Path) -> None:
    training = {**PROVENANCE["training"], "is_same_domain": True}  # type: ignore[dict-item]
    page = statement_of(write(bundle, provenance={**PROVENANCE, "training": training}))
    assert row(page, "network was shown, without labels, and left as it was")[2] == "2975"
    assert "was adapted on" not in page


def test_what_the_manifest_does_not_tell_is_not_recorded(bundle: Path) -> None:
    manifest = write(bundle, provenance={})
    page, statement = card_of(manifest), statement_of(manifest)
    for title in ("adapted checkpoint, SHA-256", "method", "revision of the code", "versions", "kind of network"):
        assert row(page, title)[1] == NOT_RECORDED
    assert "It is not recorded that it was adapted" in page
    for title in ("source network was trained on", "export, without labels"):
        assert row(statement, title)[1:] == [NOT_RECORDED, NOT_RECORDED]


def test_no_labelled_set_is_no_accuracy(bundle: Path) -> None:
    manifest = write(bundle)
    (artefact, _) = manifest.artefacts
    page = card_of(manifest.model_copy(update={"artefacts": (artefact,)}))
    assert f"mIoU on labelled frames: {NOT_RECORDED}" in page


@pytest.mark.parametrize(
    "name",
    [
        "a|b",
        "line\nbreak",
        "# heading",
        "[click](http://example.com)",
        "<script>alert(1)</script>",
        "![x](y)",
        "`code`",
        "www.example.com",
        "\u202egnp.exe",
        "\\",
    ],
)
def test_hostile_name_stays_text_in_one_cell(bundle: Path, name: str) -> None:
    classes = [{"name": name, "colour": [1, 2, 3]}, {"name": "sky", "colour": [4, 5, 6]}]
    page = card_of(write(bundle, classes=classes))
    cells = row(page, "0")
    assert len(cells) == 4
    assert not re.search(r"(?<!\\)[\[\]`*_|]|<|://|www\.|\u202e", cells[1])
    assert len([line for line in page.splitlines() if line.startswith("#")]) == 8


def test_hostile_settings_do_not_leave_their_block(bundle: Path) -> None:
    settings = {"method": {"name": "iapc"}, "```": "```\n# heading\n<b>"}
    page = card_of(write(bundle, provenance={**PROVENANCE, "adaptation": settings}))
    assert json.loads(re.findall(r"```json\n(.*?)\n```\n", page, re.DOTALL)[1]) == settings
    assert code_block("\u202e") == '```json\n"\\u202e"\n```'


def test_values_are_told_plainly() -> None:
    assert [told(value) for value in (None, "", False, 0, "a_b")] == [NOT_RECORDED, NOT_RECORDED, "no", "0", "a\\_b"]


def test_command_writes_beside_the_bundle_and_never_over_a_page(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", str(bundle)]) == 0
    told_by = json.loads(capsys.readouterr().out.splitlines()[-1])
    page = Path(told_by["model_card"])
    assert page == bundle.with_name("front-card") / "model_card.md"
    whole = page.read_text() + Path(told_by["data_statement"]).read_text()
    assert whole.count("To be filled in by the owner:") == told_by["questions"] > 0
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*FILES, "manifest.json"])
    page.write_text("filled in")
    assert main(["card", str(bundle)]) == 2
    assert "someone may have filled it in" in capsys.readouterr().err
    assert page.read_text() == "filled in"


def test_pages_do_not_go_into_the_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(bundle), "--output", str(bundle / "card")]) == 2
    assert "lies inside the bundle" in capsys.readouterr().err


def test_altered_bundle_gets_no_card(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "fp32.onnx").write_bytes(b"altered!!")
    assert main(["card", str(bundle)]) == 1
    assert not bundle.with_name("front-card").exists()
    assert "fp32.onnx" in capsys.readouterr().err
