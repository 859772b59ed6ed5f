import json
from pathlib import Path

import pytest

from runtime.backends.config import OpenVinoConfig
from runtime.race.device import describe_device
from runtime.race.remembered import MAX_WINNERS, Winner, key_of, recall, remember

WINNER = Winner(backend=OpenVinoConfig(precision="bf16"), artefact="fp32.onnx", median_ms=3.5, device={"cpu": "x"})


def test_winner_is_recalled_by_its_key_alone(cache: Path) -> None:
    remember(cache, "a", WINNER)
    remember(cache, "b", WINNER.model_copy(update={"artefact": "other.onnx"}))
    assert recall(cache, "a") == WINNER
    assert recall(cache, "c") is None
    again = recall(cache, "b")
    assert again is not None
    assert again.artefact == "other.onnx"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"winners": {"a": {"backend": {"provider": "none"}}}}', b"\xff"]
)
def test_damaged_file_counts_as_empty_and_is_told_and_replaced(
    cache: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)
    assert recall(cache, "a") is None
    assert f"{cache} is damaged and counts as empty" in capsys.readouterr().err
    remember(cache, "a", WINNER)
    capsys.readouterr()
    assert recall(cache, "a") == WINNER
    assert capsys.readouterr().err == ""


def test_place_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "races.json", "a", WINNER)
    assert "cannot be written (File exists), so the next start will race again" in capsys.readouterr().err


def test_file_keeps_the_latest_only(cache: Path) -> None:
    for number in range(MAX_WINNERS + 2):
        remember(cache, str(number), WINNER)
    assert list(json.loads(cache.read_text())["winners"]) == [str(number) for number in range(2, MAX_WINNERS + 2)]


def test_key_depends_on_every_part() -> None:
    device = describe_device()
    keys = {
        key_of(bundle="a", device=device),
        key_of(bundle="b", device=device),
        key_of(bundle="a", device={**device, "cores": device["cores"] + 1}),
        key_of(bundle="a", device={**device, "engines": {}}),
    }
    assert len(keys) == 4
    assert key_of(bundle="a", device=describe_device()) in keys


def test_device_is_described_by_cpu_cores_gpus_and_engines() -> None:
    device = describe_device()
    assert device["cpu"]
    assert device["cores"] >= 1
    assert "onnxruntime" in device["engines"] or "onnxruntime-gpu" in device["engines"]
    assert json.loads(json.dumps(device)) == device
