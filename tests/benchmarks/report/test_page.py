"""The page as a whole: what is there, what is not, and that nothing leads out of the file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.config import BenchmarksConfig
from benchmarks.report.sections.choice import SECTIONS
from benchmarks.report.write import REPORT_NAME, write_report
from runtime.errors import BundleError, CheckpointError, ConfigError, DataError, IapcError
from tests.benchmarks.command_run import write_run_file
from tests.benchmarks.report.conftest import RUN_FILE
from tests.benchmarks.report.opened import Opened, open_page

Page = Callable[..., Opened]
NAMES = [section.name for section in SECTIONS]
HOSTILE = "<script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>"


def test_every_section_of_a_whole_run_is_there(config: BenchmarksConfig) -> None:
    figures = write_report(config, RUN_FILE, ())
    assert figures == {"report": str(config.output / REPORT_NAME), "present": NAMES, "missing": []}
    found = open_page(config.output / REPORT_NAME)
    assert [name for name in found.parts if name in NAMES] == NAMES
    assert "Not there yet" not in found[""].text
    assert "Stale" not in found.html


def test_nothing_leads_out_of_the_file(whole: Opened) -> None:
    found = whole
    assert not re.findall(r"https?://|url\(|@import", found.html)
    for tag, attributes in found.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, name)
    assert ("script", {}) in found.elements
    policy = next(attributes["content"] for _, attributes in found.elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_pictures_have_a_description_and_sliders_a_name(whole: Opened) -> None:
    found = whole
    pictures = [attributes for tag, attributes in found.elements if tag == "img"]
    assert len(pictures) > 10
    assert all(attributes.get("alt") for attributes in pictures)
    assert all(attributes["aria-label"] for tag, attributes in found.elements if attributes.get("role") == "img")
    sliders = [attributes for tag, attributes in found.elements if tag == "input"]
    assert len(sliders) > 2
    assert all(slider["type"] == "range" and slider["aria-label"] for slider in sliders)


def test_headings_go_down_one_level_at_a_time(whole: Opened) -> None:
    levels = [int(tag[1]) for tag, _ in whole.elements if re.fullmatch(r"h[1-6]", tag)]
    # Sections are collected after what is in none of them; the order within each is that of the file.
    assert levels.count(1) == 1
    assert set(levels) == {1, 2, 3}
    assert levels.count(2) == len(NAMES) + 1


@pytest.mark.parametrize(
    ("gone", "missing", "command"),
    [
        ("training/report.json", ["accuracy"], "make adapt CONFIG=configs/run.yaml"),
        ("bundle/manifest.json", ["bundle"], "make export CONFIG=configs/run.yaml"),
        ("output/latency.json", ["latency"], "make bench CONFIG=configs/run.yaml"),
        ("output/ladder.json", ["front"], "make ladder CONFIG=configs/run.yaml"),
        ("output/peers.json", ["peers"], "make peers CONFIG=configs/run.yaml"),
        ("output/tune.json", ["tune"], "make tune CONFIG=configs/run.yaml"),
        ("output/choose.json", ["choose"], "make choose CONFIG=configs/run.yaml"),
        ("output/loop.json", ["stages"], "make loop CONFIG=configs/run.yaml"),
    ],
)
def test_what_is_not_there_says_which_command_makes_it(
    config: BenchmarksConfig, folder: Path, gone: str, missing: list[str], command: str
) -> None:
    (folder / gone).unlink()
    figures = write_report(config, RUN_FILE, ())
    assert figures["missing"] == missing
    assert figures["present"] == [name for name in NAMES if name not in missing]
    found = open_page(Path(figures["report"]))
    assert f"Not there yet: {command} makes it." in found[missing[0]].text


def test_run_of_which_nothing_is_there_has_a_page(tmp_path: Path, config: BenchmarksConfig, page: Page) -> None:
    empty = tmp_path / "empty"
    paths = {"output": empty, "bundle": empty / "bundle", "checkpoint": empty / "a.safetensors"}
    found = page(config.model_copy(update={**paths, "training_output": empty}))
    assert "This run has not adapted a network yet." in found[""].text
    assert all("makes it." in found[name].text for name in NAMES)
    assert not [tag for tag, _ in found.elements if tag == "img"]


def test_network_that_is_gone_leaves_what_documents_tell(config: BenchmarksConfig, folder: Path, page: Page) -> None:
    (folder / "training" / "adapt.config.json").write_text(
        (folder / "training" / "adapt.config.json").read_text().replace("source.safetensors", "nowhere.safetensors")
    )
    found = page()
    assert re.search(r"The network \S*nowhere.safetensors is not there\.", found["scenes"].text)
    assert "80.5" in found["accuracy"].text
    assert "Stale" not in found["training"].text


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("training/report.json", DataError, r"report\.json is damaged.*run `make adapt` again"),
        ("training/adapt.config.json", DataError, r"adapt\.config\.json is damaged.*run `make adapt` again"),
        ("training/adapt/feedbeef/metrics.jsonl", DataError, r"metrics\.jsonl is damaged at line 5.*run `make adapt`"),
        ("bundle/manifest.json", BundleError, r"manifest\.json is damaged at its start"),
        ("bundle-gates/gates.json", DataError, r"gates\.json is damaged.*run `make export` again"),
        ("output/latency.json", DataError, r"latency\.json is damaged.*run `make bench` again"),
        ("output/ladder.json", DataError, r"ladder\.json is damaged.*run `make ladder` again"),
        ("output/peers.json", DataError, r"peers\.json is damaged.*run `make peers` again"),
        ("output/tune.json", DataError, r"tune\.json is damaged.*run `make tune` again"),
        ("output/choose.json", DataError, r"choose\.json is damaged.*run `make choose` again"),
        ("output/loop.json", DataError, r"loop\.json is damaged.*run `make loop` again"),
    ],
)
def test_damaged_document_is_named_and_no_page_is_written(
    config: BenchmarksConfig, folder: Path, name: str, error: type[IapcError], message: str
) -> None:
    path = folder / name
    path.write_text(path.read_text()[:-20])
    with pytest.raises(error, match=message):
        write_report(config, RUN_FILE, ())
    assert not (config.output / REPORT_NAME).exists()


def test_damaged_network_is_named(config: BenchmarksConfig, folder: Path) -> None:
    network = folder / "training" / "adapted.safetensors"
    content = network.read_bytes()[:-20]
    network.unlink()
    network.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"adapted\.safetensors is damaged"):
        write_report(config, RUN_FILE, ())


def test_settings_beside_a_run_choose_no_code(config: BenchmarksConfig) -> None:
    with pytest.raises(ConfigError, match=r"built by factory 'tests\.my_networks:Small', which runs code"):
        write_report(config.model_copy(update={"factory": None}), RUN_FILE, ())


@pytest.mark.parametrize("name", ["latency", "ladder", "loop", "peers", "tune", "choose"])
def test_document_of_another_version_is_refused(config: BenchmarksConfig, name: str) -> None:
    path = config.output / f"{name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(DataError, match=rf"{name}\.json is damaged or of another version at schema_version"):
        write_report(config, RUN_FILE, ())


def test_documents_of_an_older_bundle_are_called_stale(config: BenchmarksConfig, page: Page) -> None:
    with (config.bundle / "manifest.json").open("a") as file:
        file.write("\n")
    found = page()
    for name, command in (
        ("latency", "make bench"),
        ("front", "make ladder"),
        ("peers", "make peers"),
        ("tune", "make tune"),
        ("stages", "make loop"),
    ):
        assert "Stale: measured on another bundle than" in found[name].text
        assert f"run `{command} " in found[name].text
    assert "Stale" not in found["accuracy"].text
    assert "Stale" not in found["choose"].text


@pytest.mark.parametrize("is_gone", [False, True])
def test_choice_among_ladders_that_are_other_ones_now_is_called_stale(
    config: BenchmarksConfig, page: Page, is_gone: bool
) -> None:
    path = config.output / "choose.json"
    ladder = config.output / ("gone.json" if is_gone else "ladder.json")
    found = {**json.loads(path.read_text()), "ladders": [{"path": str(ladder), "sha256": "0" * 64}]}
    path.write_text(json.dumps(found))
    told = page()["choose"].text
    assert f"Stale: {ladder} changed since or gone; run `make choose " in told


def test_names_from_outside_stay_text(config: BenchmarksConfig, folder: Path) -> None:
    rows = json.loads((folder / "training" / "report.json").read_text())
    for row in rows.values():
        row["iou"][HOSTILE] = 12.5
    (folder / "training" / "report.json").write_text(json.dumps(rows))
    for name in ("latency", "ladder", "loop", "peers"):
        document = json.loads((config.output / f"{name}.json").read_text())
        document["environment"]["cpu"] = HOSTILE
        (config.output / f"{name}.json").write_text(json.dumps(document))
    ladder = json.loads((config.output / "ladder.json").read_text())
    ladder["rows"][0]["engine"] = HOSTILE
    (config.output / "ladder.json").write_text(json.dumps(ladder))
    figures = write_report(config, Path(f"configs/{HOSTILE.replace('/', '')}.yaml"), (f"output={HOSTILE}",))
    found = open_page(Path(figures["report"]))
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert not [attributes for _, attributes in found.elements if "onerror" in attributes]
    for name in ("accuracy", "front", "environment", "again"):
        assert HOSTILE in found[name].text


def test_commands_repeat_overrides_named_after_their_stage(page: Page) -> None:
    text = page(overrides=("training.seed=1", "threads=2"))["again"].text
    settings = "SET='--set training.seed=1 --set benchmarks.threads=2'"
    for target in ("adapt", "export", "bench", "ladder", "loop", "report"):
        assert f"make {target} CONFIG=configs/run.yaml {settings}" in text


def test_each_section_tells_which_files_it_is_from(config: BenchmarksConfig, page: Page) -> None:
    found = page()
    row = next(row for row in found["latency"].rows if row[0] == str(config.output / "latency.json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", row[1])
    assert re.fullmatch(r"[0-9a-f]{64}", row[2])


def test_command_prints_the_path_as_its_last_line(
    config: BenchmarksConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = write_run_file(tmp_path / "run.yaml", config)
    assert main(["report", str(run_file), "--set", "training_output=null"]) == 0
    figures: Any = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["report"] == str(config.output / REPORT_NAME)
    assert figures["missing"] == ["scenes", "accuracy", "pseudo_labels", "importance", "prototypes", "training"]
    text = open_page(config.output / REPORT_NAME)["accuracy"].text
    assert "The run file names no benchmarks.training_output" in text
    assert json.loads((config.output / "report.config.json").read_text())["training_output"] is None


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(whole: Opened, scheme: int) -> None:
    """WCAG AA: 4.5 to 1."""
    root = re.findall(r":root \{(.*?)\}", whole.html, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", root))
    pairs = [(text, back) for text in ("text", "dim", "accent", "before", "after") for back in ("page", "card")]
    pairs += [(name, f"{name}-wash") for name in ("ok", "warn", "bad")]
    for text, back in pairs:
        dark, light = sorted((luminance(colours[text]), luminance(colours[back])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, back)
