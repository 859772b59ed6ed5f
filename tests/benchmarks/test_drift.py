import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.__main__ import main
from runtime.drift.features import features_of
from runtime.drift.reference import reference_of
from runtime.files import write_json
from runtime.segmenter import Segmenter
from tests.benchmarks.command_run import Exported
from training.data.config import StreetsConfig
from training.data.open import open_frames


def with_reference(bundle: Path, frames: StreetsConfig) -> None:
    """Give a bundle the reference that export would have given it for these frames."""
    source, rows = open_frames(frames), []
    with Segmenter.open(bundle) as segmenter:
        for index in range(len(source)):
            found = segmenter.segment(source.image(index))
            rows.append(features_of(source.image(index), found.labels, found.confidence, 19))
        reference = reference_of(np.stack(rows), list(segmenter.manifest.reference.features))
    path = bundle / "manifest.json"
    write_json(path, {**json.loads(path.read_text()), "reference": reference.model_dump()})


def run(
    exported: Exported, folder: Path, capsys: pytest.CaptureFixture[str], **drift: Any
) -> tuple[int, dict[str, Any], str]:
    frames = {"layout": "streets", "domain": "target", "first": 0, "count": 1, "height": 64, "width": 96}
    values = {"bundle": str(exported.bundle), "checkpoint": str(exported.checkpoint), "output": str(folder / "output")}
    section = {**values, "frames": frames, **({"drift": drift} if drift else {})}
    (folder / "run.yaml").write_text(yaml.safe_dump({"benchmarks": section}))
    status = main(["drift", str(folder / "run.yaml")])
    out, told = capsys.readouterr()
    return status, json.loads(out) if out else {}, told


def streets(**values: Any) -> dict[str, Any]:
    return {"layout": "streets", "domain": "target", "first": 0, "count": 40, "height": 64, "width": 96, **values}


def test_other_domain_is_noticed_in_every_order_and_the_own_one_never(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_reference(exported.bundle, StreetsConfig.model_validate(streets()))
    status, figures, told = run(
        exported,
        tmp_path,
        capsys,
        within=[streets(first=1000, count=10), streets(first=2000, count=10)],
        beyond=[streets(first=1000, count=20, domain="source")],
        num_orders=3,
        watch={"independent_after_s": 1.0},
    )
    assert status == 0
    assert (figures["orders"], figures["looks_within"], figures["false_alarms"]) == (3, 3 * 10 * 20, 0)
    assert figures["detected"] == 3
    assert 5 < figures["delay_median"] <= figures["delay_max"] < 60
    assert figures["clear_max"] > figures["delay_max"]
    document = json.loads(Path(figures["document"]).read_text())
    assert [row["is_shuffled"] for row in document["rows"]] == [False, True, True]
    assert all(row["told"].startswith("the world has left the reference: ") for row in document["rows"])
    assert "as they come" in told
    assert document["rows"][0]["told"] in told


def test_more_frames_of_the_own_domain_are_not_noticed_and_said_so(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_reference(exported.bundle, StreetsConfig.model_validate(streets()))
    own = {"within": [streets(first=1000, count=10)], "beyond": [streets(first=2000, count=20)], "num_orders": 2}
    status, figures, told = run(exported, tmp_path, capsys, **own)
    assert (status, figures["detected"], figures["delay_max"], figures["clear_max"]) == (0, 0, None, None)
    assert "no frame beyond the domain was noticed" in told


def test_frames_have_to_be_named(exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, told = run(exported, tmp_path, capsys)
    assert status == 2
    assert "benchmarks.drift is missing: give `within`" in told
