import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

from export.__main__ import main
from export.config import ExportConfig
from export.known_options import MMDEPLOY, ULTRALYTICS, markdown_table
from runtime.bundle.keys import PASSPHRASE_VARIABLE
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest
from runtime.drift.features import describe
from runtime.drift.reference import reference_of
from runtime.files import sha256_of

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., ExportConfig]
Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of three small files: whoever only verifies looks no further than their bytes."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    entries: dict[str, Any] = {}
    for name in ("fp32.onnx", "golden_frames.npy", "golden_labels.npy"):
        (folder / name).write_bytes(name.encode())
        entries[name] = {"file": name, "sha256": sha256_of(folder / name), "num_bytes": len(name)}
    parity = {
        "engine": "onnxruntime",
        "num_frames": 4,
        "label_agreement": 0.99995,
        "max_confidence_difference": 1,
        "miou_change": -0.25,
    }
    keys = [feature.key for feature in describe(["road", "sky"])]
    document = {
        "frame_height": 64,
        "frame_width": 96,
        "network_height": 64,
        "network_width": 96,
        "align_corners": True,
        "input": {"channel_order": "rgb", "mean": [0, 0, 0], "std": [1, 1, 1]},
        "classes": [{"name": "road", "colour": [128, 64, 128]}, {"name": "sky", "colour": [70, 130, 180]}],
        "artefacts": [{**entries["fp32.onnx"], "format": "onnx", "precision": "fp32", "parity": [parity]}],
        "golden": {"frames": entries["golden_frames.npy"], "labels": entries["golden_labels.npy"], "num_frames": 1},
        "reference": reference_of(np.zeros((1, len(keys)), dtype=np.float32), keys).model_dump(),
        "provenance": {"checkpoint_sha256": "c" * 64, "revision": "d" * 40, "versions": {"torch": "2.14.1"}},
    }
    manifest = Manifest.model_validate(document)
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2))
    return folder


@pytest.fixture
def keys(tmp_path: Path, capsys: Printed) -> Path:
    """A folder with a pair of keys."""
    assert main(["keygen", str(tmp_path / "keys")]) == 0
    capsys.readouterr()
    return tmp_path / "keys"


def write_run_file(config: ExportConfig, folder: Path) -> Path:
    run_file = folder / "run.yaml"
    run_file.write_text(yaml.safe_dump({"export": config.model_dump(mode="json")}))
    return run_file


def export(config: ExportConfig, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "export", "bundle", str(write_run_file(config, folder)), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def last_line(capsys: Printed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_stdout_is_one_line_of_json_and_stderr_a_table(make_config: MakeConfig, keys: Path, tmp_path: Path) -> None:
    config = make_config(artefacts=["fp32.onnx", "fp32.torchscript"])
    done = export(config, tmp_path, "--set", "num_golden_frames=1", "--sign", str(keys / "private.pem"))
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    figures = json.loads(line)
    assert (figures["bundle"], figures["classes"], figures["frame_hw"]) == (str(config.bundle), 19, [64, 96])
    onnx, torchscript = figures["artefacts"]
    assert (onnx["file"], onnx["format"], onnx["precision"], onnx["not_run"]) == ("fp32.onnx", "onnx", "fp32", None)
    assert onnx["bytes"] == (config.bundle / "fp32.onnx").stat().st_size
    assert onnx["label_agreement"] >= 0.9999
    assert onnx["max_confidence_difference"] <= 2
    assert torchscript["format"] == "torchscript"
    assert figures["refused"] == []
    assert "label agreement" in done.stderr
    assert "Warning" not in done.stderr
    assert read_manifest(config.bundle, keys / "public.pem").golden.num_frames == 1


def test_refused_artefact_ends_with_status_3_and_keeps_the_old_bundle_where_none_is_left(
    make_config: MakeConfig, exported: ExportConfig, ill_conditioned: Path, tmp_path: Path, capsys: Printed
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(exported.bundle, bundle)
    before = {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()}
    config = make_config(checkpoint=ill_conditioned, bundle=bundle, artefacts=["fp32.onnx"])
    assert main(["bundle", str(write_run_file(config, tmp_path))]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: no artefact passed" in err
    assert {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()} == before


def test_bundle_without_a_refused_artefact_is_told_of_with_status_3(
    bundle: Path, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    config = make_config(bundle=bundle, artefacts=["fp32.onnx", "int8-cpu.onnx"])
    monkeypatch.setattr("export.bundle.export_bundle", lambda *_, **__: read_manifest(bundle))
    assert main(["bundle", str(write_run_file(config, tmp_path))]) == 3
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert (figures["bundle"], figures["refused"]) == (str(bundle), ["int8-cpu.onnx"])
    assert [artefact["file"] for artefact in figures["artefacts"]] == ["fp32.onnx"]
    assert f"error: int8-cpu.onnx did not pass and is not in the bundle, which holds the others: {bundle}" in err


def test_training_section_is_read_where_integers_are_learnt_and_only_there(
    bundle: Path, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def fake(config: ExportConfig, *, training: Any, private_key: Path | None) -> Manifest:
        given.append((config.num_golden_frames, training and training.seed, private_key))
        return read_manifest(bundle)

    given: list[Any] = []
    monkeypatch.setattr("export.bundle.export_bundle", fake)
    config = make_config(bundle=bundle, artefacts=["fp32.onnx"])
    document = {
        "training": yaml.safe_load((ROOT / "configs" / "streets.yaml").read_text())["training"],
        "export": config.model_dump(mode="json"),
    }
    run_file = tmp_path / "run.yaml"
    run_file.write_text(yaml.safe_dump(document))
    overrides = ["--set", "training.seed=7", "--set", "num_golden_frames=1"]
    assert main(["bundle", str(run_file), *overrides]) == 0
    assert main(["bundle", str(run_file), *overrides, "--set", "int8.aware.when=short"]) == 0
    assert given == [(1, None, None), (1, 7, None)]
    assert last_line(capsys)["bundle"] == str(bundle)


def test_key_that_cannot_sign_is_refused_before_the_export(
    make_config: MakeConfig, keys: Path, tmp_path: Path, capsys: Printed
) -> None:
    config = make_config(checkpoint="never read")
    arguments = ["bundle", str(write_run_file(config, tmp_path)), "--sign", str(keys / "public.pem")]
    assert main(arguments) == 2
    assert "is not an Ed25519 private key" in capsys.readouterr().err


def test_unknown_key_ends_with_status_2_and_the_nearest_name(capsys: Printed) -> None:
    assert main(["bundle", str(ROOT / "configs" / "streets.yaml"), "--set", "artefact=[fp32.onnx]"]) == 2
    assert "did you mean 'artefacts'?" in capsys.readouterr().err


def test_keygen_tells_the_paths_and_the_key_and_overwrites_none(tmp_path: Path, capsys: Printed) -> None:
    assert main(["keygen", str(tmp_path)]) == 0
    figures = last_line(capsys)
    assert figures["private_key"] == str(tmp_path / "private.pem")
    assert figures["public_key"] == str(tmp_path / "public.pem")
    assert len(figures["key"]) == 16
    assert main(["keygen", str(tmp_path)]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err


def test_signed_bundle_is_verified_with_its_table_and_its_origin(bundle: Path, keys: Path, capsys: Printed) -> None:
    assert main(["sign", str(bundle), str(keys / "private.pem")]) == 0
    key = last_line(capsys)["key"]
    assert main(["verify", str(bundle), "--public-key", str(keys / "public.pem")]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert (figures["key"], figures["is_signature_verified"], figures["files"]) == (key, True, 3)
    assert figures["artefacts"][0]["miou_change"] == -0.25
    assert "fp32.onnx  onnx    fp32       labels  0.0  onnxruntime  0.999950         -0.25" in err
    assert f"checkpoint {'c' * 64}" in err
    assert f"revision   {'d' * 40}" in err
    assert "torch 2.14.1" in err
    assert f"signed with key {key}, as required" in err


def test_what_no_key_was_given_for_is_told(bundle: Path, keys: Path, capsys: Printed) -> None:
    assert main(["verify", str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["key"], json.loads(out)["is_signature_verified"]) == (None, False)
    assert "not signed" in err
    main(["sign", str(bundle), str(keys / "private.pem")])
    capsys.readouterr()
    assert main(["verify", str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["is_signature_verified"] is False
    assert "not checked: give --public-key" in err


def test_unsigned_bundle_is_refused_where_a_key_is_given(bundle: Path, keys: Path, capsys: Printed) -> None:
    assert main(["verify", str(bundle), "--public-key", str(keys / "public.pem")]) == 1
    assert "is not signed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "file", ["fp32.onnx", "golden_frames.npy", "golden_labels.npy", "manifest.json", "manifest.sig"]
)
def test_one_altered_byte_in_any_file_is_one_sentence(bundle: Path, keys: Path, capsys: Printed, file: str) -> None:
    main(["sign", str(bundle), str(keys / "private.pem")])
    capsys.readouterr()
    alter(bundle / file)
    assert main(["verify", str(bundle), "--public-key", str(keys / "public.pem")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert file in line


def test_altered_bundle_is_not_signed(bundle: Path, keys: Path, capsys: Printed) -> None:
    alter(bundle / "fp32.onnx")
    assert main(["sign", str(bundle), str(keys / "private.pem")]) == 1
    assert "fp32.onnx has SHA-256" in capsys.readouterr().err
    assert not (bundle / "manifest.sig").exists()


def test_help_tells_of_the_bundle_and_the_exit_statuses(capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["bundle", "--help"])
    text = capsys.readouterr().out
    assert "manifest.json" in text
    assert "3 an artefact was refused" in text
    assert max(map(len, text.splitlines())) <= 120


def test_every_option_of_other_exporters_is_in_the_help_and_in_the_docs(capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["bundle", "--help"])
    text = capsys.readouterr().out
    theirs = (
        "format imgsz half int8 dynamic simplify opset workspace nms batch device data fraction end2end keras optimize"
    )
    deploy = "deploy_cfg model_cfg checkpoint --calib-dataset-cfg --quant --device --work-dir --test-img --dump-info"
    ultralytics, mmdeploy = text.split("FROM ULTRALYTICS' export")[1].split("FROM MMDEPLOY'S tools/deploy.py")
    for option in theirs.split():
        assert option in ultralytics
    for option in deploy.split():
        assert option in mmdeploy
    page = (ROOT / "docs" / "export.md").read_text()
    assert markdown_table(ULTRALYTICS) in page
    assert markdown_table(MMDEPLOY) in page


@pytest.mark.parametrize("ours", sorted({option.ours for option in (*ULTRALYTICS, *MMDEPLOY) if option.ours}))
def test_what_is_named_for_an_option_of_theirs_is_a_key_of_ours(ours: str) -> None:
    model: Any = ExportConfig
    for key in ours.split("."):
        assert issubclass(model, BaseModel)
        assert key in model.model_fields
        model = model.model_fields[key].annotation


def test_bundle_becomes_a_triton_repository(
    exported: ExportConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "repository"
    arguments = ["triton", str(exported.bundle), str(folder), "--artefact", "fp32.onnx", "--instances", "2"]
    assert main(arguments) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [(model["artefact"], model["platform"]) for model in models] == [("fp32.onnx", "onnxruntime_onnx")]
    assert "count: 2" in (folder / models[0]["name"] / "config.pbtxt").read_text()
