"""What the sections show are the figures of their documents, or of the networks and labels on disk."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.config import BenchmarksConfig
from benchmarks.report.write import write_report
from runtime.errors import ConfigError
from runtime.labels import LABEL_SPACES
from tests.benchmarks.report.conftest import NUM_FRAMES, RUN_FILE, streets
from tests.benchmarks.report.opened import Opened
from training.checkpoint import read_network, save_tensors
from training.data.open import open_labelled_frames

Page = Callable[..., Opened]


def change(path: Path, **values: object) -> None:
    """Set keys of a JSON document."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_first_screen_tells_the_result(whole: Opened) -> None:
    text = whole[""].text
    assert "raised the network's mIoU on the target from 40.2 to 51.0 %." in text
    assert "mIoU on the target 51.0 % +10.8 points over the source network" in text
    assert "Size 11.9 MB int8-cpu.onnx; the whole bundle 61 MB" in text
    assert "Median latency 17.2 ms int8-cpu.onnx in ONNX Runtime, the fastest of 3" in text
    assert "Gates 2 of 3 passed refused and not in the bundle: int8-gpu.onnx" in text


def test_loss_is_not_told_as_a_gain(folder: Path, page: Page) -> None:
    path = folder / "training" / "report.json"
    rows = json.loads(path.read_text())
    change(path, adapted={**rows["adapted"], "miou": 33.0})
    text = page()[""].text
    assert "lowered the network's mIoU on the target from 40.2 to 33.0 %." in text
    assert "-7.2 points over the source network" in text


@pytest.mark.parametrize(
    ("decided", "told"),
    [
        ("is_vetoed", "which lost too many classes: delivered is the network that training started from"),
        ("is_same_domain", "iapc left the network as it is: the target looks like the source's own domain"),
    ],
)
def test_network_that_was_not_adapted_is_told_of_first(folder: Path, page: Page, decided: str, told: str) -> None:
    path = folder / "training" / "adapted.safetensors"
    tensors, spec = read_network(path)
    path.unlink()
    spec = spec.with_provenance(**{decided: True})
    save_tensors(path, tensors, {"kind": "iapc-network-2", "spec": spec.model_dump_json()})
    assert told in page()[""].text


def test_bars_are_sorted_by_gain_and_absent_classes_are_last(whole: Opened) -> None:
    found = whole["accuracy"]
    gains = re.findall(r"(mean|road|sky|train) (?:[\d.]+ [\d.]+ ([+-][\d.]+)|not in)", found.text)
    assert gains == [("mean", "+10.8"), ("road", "+9.6"), ("sky", "-5.0"), ("train", "")]
    assert "1 of 2 classes gained." in found.text
    assert ["road", "80.5", "90.1"] in found.rows
    assert ["train", "-", "-"] in found.rows
    assert ["mean", "40.2", "51.0"] in found.rows


def test_second_mean_of_synthia_is_told(folder: Path, page: Page) -> None:
    path = folder / "training" / "report.json"
    rows = json.loads(path.read_text())
    change(path, adapted={**rows["adapted"], "miou13": 59.25})
    assert ["mean of 13", "-", "59.2"] in page()["accuracy"].rows


def test_run_without_labelled_frames_says_that_nobody_can_tell(folder: Path, page: Page) -> None:
    path = folder / "training" / "adapt.config.json"
    change(path, target={"adapt": streets(0, NUM_FRAMES).model_dump(), "test": None})
    (folder / "training" / "report.json").unlink()
    found = page()
    assert "without labelled frames nobody can say how much it gained" in found[""].text
    assert "The run names no labelled test set" in found["accuracy"].text
    assert "There is no truth to compare with." in found["scenes"].text
    assert "right before" not in found["scenes"].text


def test_pseudo_labels_are_counted_and_judged(whole: Opened) -> None:
    space = LABEL_SPACES["cityscapes19"]
    truth = open_labelled_frames(streets(0, NUM_FRAMES), space)
    true = np.stack([truth.label(index) for index in range(NUM_FRAMES)])
    labels = true.copy()
    labels[:, : labels.shape[1] // 2] = space.train_id("sky")
    counted, sky = true != 255, space.train_id("sky")
    part = whole["pseudo_labels"]
    assert f"{100 * (labels == true)[counted].mean():.1f} % of them are right" in part.text
    assert f"Counted on {NUM_FRAMES} of the {NUM_FRAMES} frames" in part.text
    row = next(row for row in part.rows if row[0] == "sky")
    assert row[1] == f"{100 * (labels == sky).mean():.1f} %"
    assert row[2] == f"{100 * (true == sky)[counted].mean():.1f} %"
    assert row[3] == f"{100 * (true == sky)[counted & (labels == sky)].mean():.0f} %"
    assert row[4] == f"{100 * (labels == sky)[true == sky].mean():.0f} %"


def test_pseudo_labels_are_not_judged_where_the_run_file_names_no_truth(
    config: BenchmarksConfig, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a label of the frames that were adapted to was opened")

    monkeypatch.setattr("benchmarks.report.truth.open_labelled_frames", forbidden)
    part = page(config.model_copy(update={"adapt_truth": None}))["pseudo_labels"]
    assert "How many are right nobody can say" in part.text
    row = next(row for row in part.rows if row[0] == "sky")
    assert len(row) == 2


def test_truth_of_other_frames_is_refused(config: BenchmarksConfig) -> None:
    others = config.model_copy(update={"adapt_truth": streets(50, NUM_FRAMES)})
    with pytest.raises(ConfigError, match="adapt_truth has 6 frames, the run adapted to 6, and their names differ"):
        write_report(others, RUN_FILE, ())


def test_importance_of_the_run_is_read_where_its_method_made_it(whole: Opened) -> None:
    part = whole["importance"]
    assert "The method of this run, iapc , weighs every pixel by it." in part.text
    # 51 of 255, everywhere.
    assert part.text.count("mean 0.20") == 3
    assert re.search(r"100 % \d+ % 0\.2 0 % 0\.3", part.text)


def test_importance_is_made_for_the_page_where_the_method_uses_none(folder: Path, page: Page) -> None:
    path = folder / "training" / "adapt.config.json"
    adaptation = json.loads(path.read_text())["adaptation"]
    change(path, adaptation={**adaptation, "method": {"name": "tent"}})
    found = page()
    assert "The method of this run, tent , does not read it" in found["importance"].text
    assert "mean 0.20" not in found["importance"].text
    assert "tent , does not learn from prototypes" in found["prototypes"].text
    # The network was not adapted with the settings that lie beside it now.
    assert "describes another run than the network was adapted in" in found["training"].text


def test_prototypes_of_both_networks_are_compared(whole: Opened) -> None:
    part = whole["prototypes"]
    charts = [attributes for tag, attributes in part.elements if tag == "svg"]
    assert len(charts) == 2
    assert part.text.count("Most alike:") == 2
    assert part.text.count("road and road:") == 2


def test_curves_are_those_of_the_log(whole: Opened) -> None:
    part = whole["training"]
    told = [attributes["aria-label"] for tag, attributes in part.elements if tag == "svg"]
    assert told == [
        "enhanced: 2 at step 0, 1.6 at step 4",
        "learning rate: 0.001 at step 0, 0.001 at step 4",
        "images per second: 3.5 at step 0, 3.5 at step 4",
    ]
    assert ["entropy", "0.5", "0.25"] in part.rows


def test_log_that_is_gone_is_no_failure(folder: Path, page: Page) -> None:
    (folder / "training" / "adapt" / "feedbeef" / "metrics.jsonl").unlink()
    assert "is not there any more" in page()["training"].text


def test_gates_show_what_passed_what_was_refused_and_what_nobody_could_run(whole: Opened) -> None:
    rows = {tuple(row[:2]): row for row in whole["bundle"].rows}
    # Rounded down: one pixel in ten million differs.
    assert rows["fp32.onnx", "onnxruntime"][3:5] == ["99.9999 %", "97.51 % sky"]
    integers = rows["int8-cpu.onnx", "openvino"]
    assert integers[2:] == ["11.9", "99.1200 %", "97.51 % sky", "95.00 %", "4.1e-02", "61.50", "+0.12", "20", "passed"]
    assert rows["fp32.engine", "not run: no GPU here"][2] == "not run"
    assert rows["int8-gpu.onnx", "road is lost"][2] == "refused"


def test_bundle_of_another_network_is_called_stale(config: BenchmarksConfig, folder: Path, page: Page) -> None:
    path = folder / "bundle" / "manifest.json"
    change(path, provenance={"checkpoint_sha256": "e" * 64})
    assert "made from another network than" in page()["bundle"].text


def test_gates_of_another_export_are_called_stale(folder: Path, page: Page) -> None:
    path = folder / "bundle-gates" / "gates.json"
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    assert re.search(r"gates\.json is of another export than the bundle", page()["bundle"].text)


def test_where_labels_differ_is_shown_as_the_gate_drew_it(folder: Path, page: Page) -> None:
    assert "Where the labels of" not in page()["bundle"].text
    Image.new("RGB", (8, 4)).save(folder / "bundle-gates" / "int8-cpu.onnx.png")
    assert "Where the labels of int8-cpu.onnx differ" in page()["bundle"].text


def test_percentiles_without_the_samples_for_them_are_not_told(whole: Opened) -> None:
    part = whole["latency"]
    assert ["p95", "14.25", "26.75"] in part.rows
    # The document holds a p99 that 150 queries do not support.
    assert ["p99", "-", "-"] in part.rows
    assert "77.77" not in part.text
    assert "Too few queries for p99 (662), p99.9 (6636)" in part.text
    assert sum("dot" in attributes.get("class", "") for _, attributes in part.elements) == 6
    assert "2.00 times as fast as the peer's (95 % bootstrap interval 1.75 to 2.25" in part.text


def test_front_leaves_out_what_was_refused_and_marks_what_none_beats(whole: Opened) -> None:
    part = whole["front"]
    numbered = {row[1]: row[0] for row in part.rows if len(row) > 3}
    assert numbered["network"] == "1"
    assert numbered["bf16.onnx"] == ""
    marked = [attributes for tag, attributes in part.elements if tag == "tr" and attributes.get("class") == "on-front"]
    assert len(marked) == 2
    dots = [attributes["class"] for tag, attributes in part.elements if tag == "circle"]
    assert dots == ["dot second", "dot second", "dot first", "dot first"]
    assert "a note on what was left out" in part.text


def test_front_without_a_test_set_is_a_table(config: BenchmarksConfig, page: Page) -> None:
    document = json.loads((config.output / "ladder.json").read_text())
    rows = [{**row, "miou": None} for row in document["rows"]]
    change(config.output / "ladder.json", rows=rows, num_test_frames=0)
    part = page()["front"]
    assert "There was no labelled test set, hence no front." in part.text
    assert not [tag for tag, _ in part.elements if tag == "circle"]


def test_peers_are_bars_over_the_floor_and_what_has_no_score_says_why(whole: Opened) -> None:
    part = whole["peers"]
    assert ["ours", "fp32", "10.00", "99.99 %", "30.25", "-"] in part.rows
    assert ["peer", "fp32", "20.00", "100.00 %", "30.00", "2.00x"] in part.rows
    assert ["cheat", "fp32", "other labels than PyTorch"] in part.rows
    assert ["absent", "fp32", "not run: not installed"] in part.rows
    assert [attributes["style"] for tag, attributes in part.elements if tag == "i"] == [
        "width: 50.00%",
        "width: 100.00%",
    ]
    floors = [attributes for tag, attributes in part.elements if tag == "b" and "style" in attributes]
    assert floors == [{"style": "left: 20.00%", "title": "floor 4.00 ms"}]
    assert "Not met: ours is to be 3 times as fast." in part.text


def test_floor_above_all_medians_stays_in_its_lane(config: BenchmarksConfig, page: Page) -> None:
    rows = json.loads((config.output / "peers.json").read_text())["rows"]
    rows[0]["floor"] = {"compute_ms": 40.0, "memory_ms": 1.0}
    change(config.output / "peers.json", rows=rows)
    marks = [attributes.get("style") for tag, attributes in page()["peers"].elements if tag in ("i", "b")]
    assert marks[:3] == ["width: 25.00%", "left: 100.00%", "width: 50.00%"]


def test_recommendation_is_told_and_marked(whole: Opened) -> None:
    part = whole["choose"]
    assert "Within 15 ms: int8-cpu.onnx of runs/a/bundle in OpenVINO, 29.00 mIoU in 12.0 ms (p90)." in part.text
    assert [
        "1",
        "runs/a/bundle",
        "int8-cpu.onnx",
        "OpenVINO",
        "12.00",
        "29.00",
        "+0.00 (+0.00 to +0.00)",
        "take this",
    ] in part.rows
    assert sum(row[-1] == "take this" for row in part.rows) == 2
    numbers = [row[0] for row in part.rows if row[1:2] == ["runs/a/bundle"]]
    assert numbers == ["1", "2", "", "", ""]
    assert [attributes["class"] for tag, attributes in part.elements if tag == "circle"] == [
        "dot second",
        "dot first",
        "dot first",
    ]
    assert any(attributes.get("class") == "budget" for _, attributes in part.elements)
    assert "Left out: a row without a time" in part.text


def test_settings_are_bars_with_what_they_cost_the_cores(whole: Opened) -> None:
    part = whole["tune"]
    assert (
        "Nothing was faster than the default, int8 in openvino: 8.00 ms a frame, for 15.0 ms of CPU time." in part.text
    )
    assert ["int8 in openvino", "8.00", "15.0", "99.12 %", "-", "default"] in part.rows
    assert ["int8 in openvino, threads=1", "16.00", "16.0", "99.12 %", "0.50x", "slower"] in part.rows
    assert ["fp32 in openvino", "no score: label agreement 0.5"] in part.rows
    widths = [attributes["style"] for tag, attributes in part.elements if tag == "i"]
    assert widths == ["width: 50.00%", "width: 100.00%", "width: 50.00%"]
    assert "artefact: int8-cpu.onnx" in part.text
    assert "no GPU here" in part.text


def test_stages_begin_where_the_one_before_ends(whole: Opened) -> None:
    part = whole["stages"]
    bars = [attributes["style"] for tag, attributes in part.elements if tag == "i"]
    assert bars[:3] == [
        "left: 0.00%; width: 10.00%",
        "left: 10.00%; width: 60.00%",
        "left: 70.00%; width: 30.00%",
    ]
    assert bars[3:] == ["left: 0.00%; width: 75.00%", "left: 75.00%; width: 25.00%"]
    assert "counts for nothing (40.00 ms here)" in part.text


def test_loop_that_was_faster_than_its_engine_is_told_as_noise(config: BenchmarksConfig, page: Page) -> None:
    overhead = json.loads((config.output / "loop.json").read_text())["overhead"]
    change(config.output / "loop.json", overhead={**overhead, "overhead_ms": -2.5})
    assert "took 2.50 ms longer than inside the loop" in page()["stages"].text


def test_environment_is_that_of_each_document_with_its_date(whole: Opened) -> None:
    rows = whole["environment"].rows
    assert rows[0] == ["", "latency.json", "ladder.json", "peers.json", "tune.json", "loop.json", "manifest.json"]
    assert ["cpu", *["Some CPU @ 2 GHz"] * 5, "-"] in rows
    assert rows[1] == ["measured", *[f"1970-01-0{day} 00:00 UTC" for day in (2, 3, 5, 7, 4)], "-"]
    assert "governor" not in [row[0] for row in rows]
    assert ["python", *["3.11"] * 5, "3.11.1"] in rows
