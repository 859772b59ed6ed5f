import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from export.__main__ import main
from export.config import ExportConfig
from export.facts import Facts
from export.frozen import Frozen
from export.inspect_artefact import read_facts
from export.provenance import artefact_facts
from runtime.bundle.opening import read_manifest
from runtime.errors import BundleError
from runtime.files import sha256_of

MakeNetwork = Callable[..., Path]


@pytest.fixture
def facts(frozen: Frozen, make_network: MakeNetwork) -> dict[str, str]:
    return artefact_facts(frozen, make_network(), precision="int8", tail="logits")


def write_onnx(path: Path, facts: dict[str, str]) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [output])
    model = helper.make_model(graph)
    helper.set_model_props(model, facts)
    onnx.save(model, path)
    return path


def test_each_artefact_of_a_bundle_says_what_its_manifest_says(exported: ExportConfig) -> None:
    manifest = read_manifest(exported.bundle)
    for artefact in manifest.artefacts:
        assert artefact.format != "tensorrt"
        assert read_facts(exported.bundle / artefact.file) == Facts(
            schema_version=3,
            precision=artefact.precision,
            tail=artefact.tail,
            frame_height=manifest.frame_height,
            frame_width=manifest.frame_width,
            network_height=manifest.network_height,
            network_width=manifest.network_width,
            align_corners=manifest.align_corners,
            input=manifest.input,
            classes=manifest.classes,
            checkpoint_sha256=sha256_of(exported.checkpoint),
        )


def test_precision_and_output_are_told(facts: dict[str, str], tmp_path: Path) -> None:
    found = read_facts(write_onnx(tmp_path / "a.onnx", facts))
    assert (found.precision, found.tail) == ("int8", "logits")


def test_inspect_prints_the_description_and_ends_with_json(
    facts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_onnx(tmp_path / "lost.onnx", facts)
    assert main(["inspect", str(path)]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert (figures["file"], figures["frame_height"], figures["classes"][0]["name"]) == (str(path), 64, "road")
    assert "frame      64x96 (height x width), uint8 RGB" in err
    assert "classes    19: road, sidewalk" in err


def refused(path: Path) -> Any:
    with pytest.raises(BundleError) as caught:
        read_facts(path)
    return str(caught.value)


def test_what_has_no_description_is_refused_in_words(tmp_path: Path) -> None:
    assert "has no description by the name 'iapc'" in refused(write_onnx(tmp_path / "other.onnx", {"author": "x"}))
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("other/data.pkl", b"")
    assert "has no description by the name 'iapc'" in refused(tmp_path / "other.pt2")
    (tmp_path / "fp16.engine").write_bytes(b"ftrt")
    assert "is a TensorRT engine, which has no room for a description" in refused(tmp_path / "fp16.engine")
    (tmp_path / "notes.txt").write_bytes(b"\xff\xff notes")
    assert "is no artefact: neither ONNX, TorchScript nor .pt2" in refused(tmp_path / "notes.txt")
    (tmp_path / "cut.pt2").write_bytes(b"PK\x03\x04 cut")
    assert "is damaged" in refused(tmp_path / "cut.pt2")
    assert "cannot be read (No such file" in refused(tmp_path / "absent.onnx")


def test_damaged_description_names_the_place(facts: dict[str, str], tmp_path: Path) -> None:
    damaged = {**facts, "iapc": facts["iapc"].replace('"frame_height":64', '"frame_height":"tall"')}
    assert "its description is damaged at frame_height" in refused(write_onnx(tmp_path / "a.onnx", damaged))
