"""The tables of pages are those of the committed figures, whatever seeds a comparison has."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.adaptation.document import AdaptationDocument, MeasuredStep
from benchmarks.document import Ratio
from benchmarks.floor.floor import Floor
from benchmarks.peers.document import PeerRow, PeersDocument
from benchmarks.readme.adaptation import step_results
from benchmarks.readme.extract import extract_of
from benchmarks.readme.figures import read_figures
from benchmarks.readme.peers import peers_brief, peers_results
from benchmarks.readme.table import every_method, results
from benchmarks.readme.write import ROOT, SOURCES, Source, filled, write_readme
from runtime.errors import DataError
from tests.benchmarks.hand_made import ENVIRONMENT, peers_document


def row(title: str, values: dict[int, float], **described: Any) -> dict[str, Any]:
    mean = sum(values.values()) / len(values) if values else described.pop("mean")
    return {
        "title": title,
        "values": {"miou": {str(seed): value for seed, value in values.items()}},
        "summary": {"miou": {"mean": mean, "spread": 0.5 if len(values) > 1 else None}},
        "recovered": {"mean": 50.4, "spread": None},
        "is_baseline": not values,
        "is_oracle": False,
        "needs_source": False,
        **described,
    }


def document(seeds: tuple[int, ...], others: dict[str, float]) -> dict[str, Any]:
    """A comparison as `methods` writes it, as far as README.md is made of it."""
    rows = [
        row("IAPC+", dict.fromkeys(seeds, 30.0)),
        *(row(title, dict.fromkeys(seeds, value)) for title, value in others.items()),
        row("IAPC (as configured)", dict.fromkeys(seeds, 25.0)),
        row("source only", {}, mean=15.77),
        row("oracle", dict.fromkeys(seeds, 40.0), is_oracle=True),
    ]
    differences = [{"leader": "IAPC+", "p_holm": 0.03, "mean": -5.0}, {"leader": "IAPC+", "p_holm": None, "mean": -1.0}]
    return {
        "seeds": list(seeds),
        "cells": 8,
        "done": 8,
        "failed": 0,
        "environment": {"cpu": "some CPU", "gpu": None},
        "config": {"oracle": {"iterations": 300}},
        "data": {
            name: {"iterations": 60, "tables": {"methods": [{"rows": rows, "differences": differences}]}}
            for name in ("streets", "camvid")
        },
    }


def beside_peer(ours_ms: float) -> PeersDocument:
    """The bundle in so many milliseconds, a peer in 100, and one that did not run."""

    def row(name: str, ms: float, **values: Any) -> PeerRow:
        return PeerRow(
            name=name,
            path="",
            percentiles_ms={"p50": ms},
            label_agreement=0.99,
            ours_is_faster=Ratio(value=ms / ours_ms, low=1.9, high=2.1),
            floor=Floor(compute_ms=10.0, memory_ms=1.0),
            floor_share=10.0 / ms,
            samples_ns=(1,),
            **{"precision": "fp32", "is_ours": False, **values},
        )

    return peers_document(
        row("int8-cpu.onnx in cpu", ours_ms, precision="int8", is_ours=True, miou_change=-0.1),
        row("PyTorch eager fp32", 100.0, miou=30.0),
        PeerRow(name="On a GPU", path="", precision="fp32", is_ours=False, not_run="no GPU"),
    )


def adaptation_document() -> AdaptationDocument:
    """A plain step of ten seconds in 3 GiB, and two that take half and a quarter of both."""

    def step(name: str, precision: str, share: float, loss_difference: float = 0.0) -> MeasuredStep:
        return MeasuredStep(
            name=name,
            precision=precision,
            seconds=(10.0 * share,) * 3,
            images_per_s=0.1 / share,
            peak_bytes=int(3 * 2**30 * share),
            resident_before_bytes=1,
            parts_s={},
            loss_difference=loss_difference,
        )

    return AdaptationDocument(
        created_unix_s=0,
        contenders=(step("plain", "fp32", 1.0), step("iapc", "fp32", 0.5, 0.001), step("iapc", "bf16", 0.25, 0.25)),
        speedup_vs_plain={"fp32": 2.0, "bf16": 4.0},
        memory_vs_plain={"fp32": 0.5, "bf16": 0.25},
        loading=(),
        environment=ENVIRONMENT,
        config={"backbone": "resnet101", "crop_hw": [256, 512], "batch_size": 1},
    )


def lines(found: dict[str, Any]) -> list[str]:
    return results(extract_of(found)).splitlines()


PLACES = [(page, table, make, source) for source in SOURCES.values() for page, (table, make) in source.tables.items()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with its pages, each with a place for its tables, and committed figures of peers and a step."""
    (tmp_path / "docs/figures").mkdir(parents=True)
    (tmp_path / SOURCES["adaptation"].figures).write_text(adaptation_document().model_dump_json())
    (tmp_path / SOURCES["peers"].figures).write_text(beside_peer(50.0).model_dump_json())
    for page in {page for page, *_ in PLACES}:
        places = "".join(
            f"<!-- table: {table} -->\nold\n<!-- end -->\nbelow\n" for one, table, *_ in PLACES if one == page
        )
        (tmp_path / page).write_text(f"above\n{places}")
    return tmp_path


@pytest.mark.parametrize(("page", "table", "make", "source"), PLACES)
def test_page_says_what_the_committed_figures_say(page: str, table: str, make: Any, source: Source) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    expected = filled(text, table, make(read_figures(ROOT / source.figures, source.model, "x")), page)
    assert expected == text, "run `make readme`; its tables are never typed"


def test_mean_spread_and_share_of_the_way_to_the_oracle() -> None:
    assert "| **IAPC+** | 30.0\u00a0±\u00a00.5 | 50\u00a0% | 30.0\u00a0±\u00a00.5 | 50\u00a0% |" in lines(
        document((0, 1, 2), {})
    )


def test_a_single_seed_has_no_spread() -> None:
    found = lines(document((4,), {}))
    assert "| **IAPC+** | 30.0 | 50\u00a0% | 30.0 | 50\u00a0% |" in found
    assert any("over adaptation seeds 4;" in line for line in found)


def test_what_the_leading_row_has_of_its_own_is_told() -> None:
    """Without its optimiser it is another comparison; the figures are those of the table that takes it apart."""
    found = document((0, 1, 2), {})
    assert not any("SGD" in line for line in lines(found))
    for name, value in (("streets", 28.0), ("camvid", 33.4)):
        parts = [row("IAPC+", dict.fromkeys((0, 1, 2), 30.0)), row("optimiser as configured", {0: value, 1: value})]
        found["data"][name]["tables"]["plus"] = [{"rows": parts, "differences": []}]
    told = "with SGD it reaches 28.0\u00a0±\u00a00.5 on `streets` and 33.4\u00a0±\u00a00.5 on CamVid day to dusk."
    assert any(told in line for line in lines(found))


def test_an_adaptation_step_is_shown_beside_the_plain_one() -> None:
    text = step_results(adaptation_document())
    assert "| images/s | 0.100 | 0.200 | 0.400 |" in text
    assert "| against the plain step | 1 | **2.00x** | **4.00x** |" in text
    assert "3.00 GiB | 1.50 GiB (0.50x) | 0.75 GiB (0.25x) |" in text
    assert "| largest difference of a loss at the first step | - | 0.10% | 25.00% |" in text
    assert "`resnet101`, crops of 512x256, batch 1; medians of 3 steps each" in text


def test_another_document_is_no_adaptation_step(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "peers.json").write_text(beside_peer(50.0).model_dump_json())
    with pytest.raises(DataError, match=r"is not one that `python -m benchmarks adapt` wrote"):
        write_readme({"adaptation": root / "peers.json"}, root=root)


def test_the_best_other_method_is_chosen_by_its_figures() -> None:
    titles = [line.split(" | ")[0] for line in lines(document((0, 1), {"UR": 20.0, "HCL": 24.0}))]
    assert "| HCL" in titles
    assert "| UR" not in titles


def test_a_method_that_needs_source_frames_is_never_the_best_other() -> None:
    found = document((0,), {"HCL": 24.0})
    found["data"]["streets"]["tables"]["methods"][0]["rows"].append(row("BiCL", {0: 39.0}, needs_source=True))
    assert not any(line.startswith("| BiCL") for line in lines(found))


def test_a_seed_that_is_missing_is_told() -> None:
    found = document((0, 1), {})
    found["data"]["streets"]["tables"]["methods"][0]["rows"][0] = row("IAPC+", {1: 29.0})
    assert "| **IAPC+** | 29.0 (seed 1) | 50\u00a0% | 29.0 (seed 1) | 50\u00a0% |" in lines(found)


def test_what_is_significant_is_counted() -> None:
    assert (
        "IAPC+ leads, and 1 of 2 other source-free rows are significantly below it" in lines(document((0, 1), {}))[-1]
    )


def test_steps_are_those_of_methods_and_of_the_oracle() -> None:
    assert "60 steps a method, 300 for the oracle, on some CPU." in lines(document((0, 1), {}))[-2]


def test_every_method_stands_by_what_it_reaches_with_each_seed() -> None:
    found = document((0, 1), {"UR": 20.0, "HCL": 26.0})
    for one in found["data"].values():
        block = {"rows": [row("BiCL", {0: 27.0, 1: 29.0}, needs_source=True)], "differences": []}
        one["tables"]["methods"].append(block)
    assert every_method(extract_of(found)).splitlines() == [
        "| mIoU, seeds 0 and 1, 60 steps | `streets` | CamVid day to dusk |",
        "|:--|--:|--:|",
        "| **IAPC+** | 30.0 (30.0, 30.0) | 30.0 (30.0, 30.0) |",
        "| HCL | 26.0 (26.0, 26.0) | 26.0 (26.0, 26.0) |",
        "| IAPC (as configured) | 25.0 (25.0, 25.0) | 25.0 (25.0, 25.0) |",
        "| UR | 20.0 (20.0, 20.0) | 20.0 (20.0, 20.0) |",
        "| source only | 15.8 | 15.8 |",
        "| *learning from labelled source frames too* |  |  |",
        "| BiCL | 28.0 (27.0, 29.0) | 28.0 (27.0, 29.0) |",
        "| *oracle*, 300 steps with target labels | 40.0 (40.0, 40.0) | 40.0 (40.0, 40.0) |",
    ]


def test_seed_without_a_value_keeps_its_place() -> None:
    found = document((0, 1), {})
    found["data"]["streets"]["tables"]["methods"][0]["rows"][0] = row("IAPC+", {1: 29.0})
    assert "| **IAPC+** | 29.0 (-, 29.0) |" in every_method(extract_of(found))


def test_peers_stand_by_their_time_and_ours_is_marked() -> None:
    found = peers_results(beside_peer(50.0)).splitlines()
    assert found[2:4] == [
        "| PyTorch eager fp32 | fp32 | 99.00% | 30.0 | 100.0 | 2.00x (1.90 to 2.10) | 10% |",
        "| **int8-cpu.onnx in cpu**, of the bundle | int8 | 99.00% | -0.10 | 50.0 | - | 20% |",
    ]
    assert found[-1].endswith("Not run: On a GPU.")
    assert "`deeplab_v2 resnet18`, frames of 256x128. Medians of 64 frames each" in found[-1]


def test_peers_without_a_score_of_ours_are_not_published(root: Path) -> None:
    document = beside_peer(50.0).model_dump(mode="json")
    for entry in document["rows"]:
        if entry["is_ours"]:
            entry.update(samples_ns=[], percentiles_ms={})
    (root / "peers.json").write_text(json.dumps(document))
    before = (root / "README.md").read_text()
    with pytest.raises(DataError, match="no score for the runtime's choice"):
        write_readme({"peers": root / "peers.json"}, root=root)
    assert (root / "README.md").read_text() == before


def test_peers_in_brief_are_times_ours() -> None:
    text = peers_brief(beside_peer(50.0))
    ours = "| **int8-cpu.onnx in cpu** | **int8** | **-0.10** | **50.0** | - |"
    assert f"| PyTorch eager fp32 | fp32 | - | 100.0 | 2.00x |\n{ours}\n" in text
    assert text.endswith(
        "Ours has 99.00% of PyTorch's labels, -0.10 mIoU; each mIoU is a change against PyTorch in float32."
    )


def test_new_figures_go_into_the_committed_file_and_the_pages(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "methods.json").write_text(json.dumps(document((0, 1), {})))
    told = write_readme({"methods": root / "methods.json"}, root=root)
    shown = {
        "README.md": "| **IAPC+** | 30.0",
        "docs/benchmarks.md": "| 50.0 |",
        "docs/methods_guide.md": "| **IAPC+** | 30.0",
        "docs/training.md": "| images/s | 0.100 |",
    }
    assert told["changed"] == list(shown)
    for page, figure in shown.items():
        text = (root / page).read_text()
        assert figure in text
        assert text.startswith("above\n")
        assert text.endswith("<!-- end -->\nbelow\n")
    assert "changed: README.md" in capsys.readouterr().err
    assert write_readme({}, root=root)["changed"] == []


def test_new_figures_of_one_command_leave_those_of_the_other(root: Path) -> None:
    (root / "methods.json").write_text(json.dumps(document((0, 1), {})))
    write_readme({"methods": root / "methods.json"}, root=root)
    (root / "peers.json").write_text(beside_peer(25.0).model_dump_json())
    assert write_readme({"peers": root / "peers.json"}, root=root)["changed"] == ["README.md", "docs/benchmarks.md"]
    assert "| 25.0 |" in (root / "docs/benchmarks.md").read_text()
    assert "| **IAPC+** | 30.0" in (root / "README.md").read_text()


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("text", ["{}", "[]", "{", json.dumps({"data": {}})])
def test_another_document_changes_nothing(root: Path, text: str, name: str) -> None:
    (root / "other.json").write_text(text)
    before = (root / "README.md").read_text()
    with pytest.raises(DataError, match=rf"{name}\.json|`python -m benchmarks {name}`"):
        write_readme({name: root / "other.json"}, root=root)
    assert (root / "README.md").read_text() == before
    assert not (root / SOURCES["methods"].figures).exists()


@pytest.mark.parametrize("page", sorted({page for page, *_ in PLACES}))
def test_a_page_without_the_place_is_refused_before_anything_is_written(root: Path, page: str) -> None:
    (root / "methods.json").write_text(json.dumps(document((0, 1), {})))
    (root / page).write_text("nothing\n")
    with pytest.raises(DataError, match="put both back"):
        write_readme({"methods": root / "methods.json"}, root=root)
    assert not (root / SOURCES["methods"].figures).exists()
    assert "30.0" not in "".join((root / one).read_text() for one, *_ in PLACES)


def test_a_place_that_runs_into_the_next_is_refused() -> None:
    text = "<!-- table: a -->\n<!-- table: b -->\n<!-- end -->\n"
    with pytest.raises(DataError, match="no other table in between"):
        filled(text, "a", "new", "page.md")


@pytest.mark.parametrize("name", SOURCES)
def test_figures_that_are_missing_are_told(root: Path, name: str) -> None:
    (root / "methods.json").write_text(json.dumps(document((0, 1), {})))
    write_readme({"methods": root / "methods.json"}, root=root)
    (root / SOURCES[name].figures).unlink()
    with pytest.raises(DataError, match="write it again"):
        write_readme({}, root=root)


@pytest.mark.parametrize("name", SOURCES)
def test_command_tells_a_missing_document(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["readme", f"--{name}", str(tmp_path / "none.json")]) == 1
    assert "cannot be read as JSON" in capsys.readouterr().err
