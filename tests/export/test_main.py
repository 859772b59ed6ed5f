import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from export.__main__ import main
from export.config import ExportConfig

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., ExportConfig]


def run(config: ExportConfig, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    run_file = folder / "run.yaml"
    run_file.write_text(yaml.safe_dump({"export": config.model_dump(mode="json")}))
    command = [sys.executable, "-m", "export", str(run_file), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_stdout_is_one_line_of_json_and_stderr_a_table(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    done = run(config, tmp_path, "--set", "num_golden_frames=1")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    figures = json.loads(line)
    assert (figures["bundle"], figures["classes"], figures["frame_hw"]) == (str(config.bundle), 19, [64, 96])
    onnx, torchscript = figures["artefacts"]
    assert (onnx["file"], onnx["format"], onnx["not_run"]) == ("fp32.onnx", "onnx", None)
    assert onnx["bytes"] == (config.bundle / "fp32.onnx").stat().st_size
    assert onnx["label_agreement"] >= 0.9999
    assert onnx["max_confidence_difference"] <= 2
    assert torchscript["format"] == "torchscript"
    assert "label agreement" in done.stderr
    assert "Warning" not in done.stderr


def test_refused_artefact_ends_with_status_3_and_keeps_the_old_bundle(
    make_config: MakeConfig, exported: ExportConfig, ill_conditioned: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(exported.bundle, bundle)
    before = {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()}
    done = run(make_config(checkpoint=ill_conditioned, bundle=bundle, artefacts=["onnx"]), tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "error: fp32.onnx: other output than the PyTorch network" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "run.yaml"]


def test_unknown_key_ends_with_status_2_and_the_nearest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(ROOT / "configs" / "streets.yaml"), "--set", "artefact=[onnx]"]) == 2
    assert "did you mean 'artefacts'?" in capsys.readouterr().err


def test_help_tells_of_the_bundle_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert "manifest.json" in text
    assert "3 an artefact was refused" in text
