"""README.md's results are those of the committed figures, whatever seeds a comparison has."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.readme.extract import extract_of, read_extract
from benchmarks.readme.table import results
from benchmarks.readme.write import FIGURES, README, filled, write_readme
from runtime.errors import DataError

PLACE = "above\n<!-- table: methods -->\nold\n<!-- end -->\nbelow\n"


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


def lines(found: dict[str, Any]) -> list[str]:
    return results(extract_of(found)).splitlines()


def test_readme_says_what_the_committed_figures_say() -> None:
    page = README.read_text(encoding="utf-8")
    assert filled(page, results(read_extract(FIGURES))) == page, "run `make readme`; its results are never typed"


def test_mean_spread_and_share_of_the_way_to_the_oracle() -> None:
    assert "| **IAPC+** | 30.0 ± 0.5 | 50 % | 30.0 ± 0.5 | 50 % |" in lines(document((0, 1, 2), {}))


def test_a_single_seed_has_no_spread() -> None:
    found = lines(document((4,), {}))
    assert "| **IAPC+** | 30.0 | 50 % | 30.0 | 50 % |" in found
    assert any("over adaptation seeds 4;" in line for line in found)


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
    assert "| **IAPC+** | 29.0 (seed 1) | 50 % | 29.0 (seed 1) | 50 % |" in lines(found)


def test_what_is_significant_is_counted() -> None:
    assert (
        "IAPC+ leads, and 1 of 2 other source-free rows are significantly below it" in lines(document((0, 1), {}))[-1]
    )


def test_steps_are_those_of_methods_and_of_the_oracle() -> None:
    assert "60 steps a method, 300 for the oracle, on some CPU." in lines(document((0, 1), {}))[-2]


def test_new_figures_go_into_the_committed_file_and_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "methods.json").write_text(json.dumps(document((0, 1), {})))
    readme, figures = tmp_path / "README.md", tmp_path / "figures.json"
    readme.write_text(PLACE)
    told = write_readme(tmp_path / "methods.json", readme=readme, figures=figures)
    assert told["changed"]
    assert "30.0 ± 0.5" in readme.read_text()
    assert readme.read_text().startswith("above\n")
    assert readme.read_text().endswith("<!-- end -->\nbelow\n")
    assert "as it was" not in capsys.readouterr().err
    assert not write_readme(None, readme=readme, figures=figures)["changed"]


@pytest.mark.parametrize("text", ["{}", "[]", "{", json.dumps({"data": {}})])
def test_another_document_changes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    readme, figures = tmp_path / "README.md", tmp_path / "figures.json"
    readme.write_text(PLACE)
    with pytest.raises(DataError, match=r"methods\.json"):
        write_readme(tmp_path / "other.json", readme=readme, figures=figures)
    assert readme.read_text() == PLACE
    assert not figures.exists()


def test_a_page_without_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "methods.json").write_text(json.dumps(document((0, 1), {})))
    readme, figures = tmp_path / "README.md", tmp_path / "figures.json"
    readme.write_text("nothing\n")
    with pytest.raises(DataError, match="put them back"):
        write_readme(tmp_path / "methods.json", readme=readme, figures=figures)
    assert not figures.exists()


def test_command_tells_a_missing_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["readme", "--methods", str(tmp_path / "none.json")]) == 1
    assert "cannot be read as JSON" in capsys.readouterr().err
