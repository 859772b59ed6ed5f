import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.backends.config import AutoConfig, CpuConfig, OpenVinoConfig
from runtime.backends.open import open_backend
from runtime.errors import BackendError, BundleError
from runtime.segmenter import Segmenter
from runtime.settings import RuntimeConfig

Frame = NDArray[np.uint8]
MakeBundle = Callable[..., Path]


@pytest.fixture
def config(cache: Path) -> RuntimeConfig:
    return RuntimeConfig(backend=AutoConfig(race_s=0.01, cache=cache, threads=1))


def test_first_start_races_and_says_so_and_the_second_does_not(
    bundle: Path, config: RuntimeConfig, capsys: pytest.CaptureFixture[str], striped_frame: Frame, striped_labels: Frame
) -> None:
    with Segmenter.open(bundle, config) as segmenter:
        np.testing.assert_array_equal(segmenter.segment(striped_frame).labels, striped_labels)
        first = segmenter.backend
    told = capsys.readouterr().err
    assert f"engines for {bundle} on this machine:\n  backend" in told
    assert "  cpu " in told
    assert isinstance(first, CpuConfig | OpenVinoConfig)
    assert first.threads == 1
    with Segmenter.open(bundle, config) as segmenter:
        assert segmenter.backend == first
        assert segmenter.artefact is not None
        assert segmenter.artefact.file == "fp32.onnx"
    assert capsys.readouterr().err == ""


def test_fixed_artefact_is_what_is_served(
    bundle: Path, config: RuntimeConfig, add_artefact: Callable[..., None], logits_model: bytes
) -> None:
    add_artefact(bundle, "fp32-logits.onnx", logits_model, tail="logits")
    with Segmenter.open(bundle, config.model_copy(update={"artefact": "fp32-logits.onnx"})) as segmenter:
        assert segmenter.artefact is not None
        assert segmenter.artefact.file == "fp32-logits.onnx"
    with pytest.raises(BundleError, match=r"has no artefact int8\.onnx, only fp32\.onnx, fp32-logits\.onnx"):
        Segmenter.open(bundle, config.model_copy(update={"artefact": "int8.onnx"}))


def test_other_golden_labels_take_a_contender_out(
    bundle: Path,
    config: RuntimeConfig,
    add_artefact: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    make_logits_network: Callable[..., bytes],
) -> None:
    wrong = make_logits_network(np.roll(np.eye(3, dtype=np.float32), 1, axis=0))
    add_artefact(bundle, "wrong.onnx", wrong, tail="logits")
    with Segmenter.open(bundle, config) as segmenter:
        assert segmenter.artefact is not None
        assert segmenter.artefact.file == "fp32.onnx"
    assert "gives other labels here than at export: wrong.onnx" in capsys.readouterr().err


def test_no_engine_is_an_error_with_every_reason(make_bundle: MakeBundle, config: RuntimeConfig) -> None:
    bundle = make_bundle(golden_labels=lambda labels: (labels + 1) % 3)
    with pytest.raises(
        BackendError, match=r"(?s)no engine of this machine serves bundle .*cpu +fp32\.onnx +- .*other lab"
    ):
        Segmenter.open(bundle, config)


def test_remembered_engine_that_does_not_open_is_replaced_by_a_race(
    bundle: Path,
    config: RuntimeConfig,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Segmenter.open(bundle, config) as segmenter:
        first = segmenter.backend
    document = json.loads(cache.read_text())
    (winner,) = document["winners"].values()
    winner["backend"]["threads"] = 7
    cache.write_text(json.dumps(document))
    capsys.readouterr()
    with Segmenter.open(bundle, config) as segmenter:
        assert getattr(segmenter.backend, "threads", None) == getattr(first, "threads", None) == 1
    assert "is not here any more; racing again" in capsys.readouterr().err
    fail_once(monkeypatch)
    with Segmenter.open(bundle, config):
        assert "does not open any more (once); racing again" in capsys.readouterr().err


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "runtime.segmenter.open_backend"

    def fail(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(place, open_backend)
        raise BackendError("once")

    monkeypatch.setattr(place, fail)
