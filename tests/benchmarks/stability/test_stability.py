"""What several runs of `peers` say together; spreads and overlaps were computed by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmarks.__main__ import main
from benchmarks.document import Ratio
from benchmarks.peers.document import PeerRow
from benchmarks.stability.compare import compare_runs
from benchmarks.stability.document import Estimate, StabilityDocument
from benchmarks.stability.figure import figure_of
from runtime.errors import ConfigError, DataError
from tests.benchmarks.hand_made import ENVIRONMENT, peers_document

CHOSEN, EAGER = "int8-cpu.onnx in cpu", "PyTorch eager fp32"


def row(name: str, ms: float, ratio: tuple[float, float, float] | None = None, **values: Any) -> PeerRow:
    """A row whose samples are all the same, so that its interval is a point."""
    told = {"path": "", "precision": "fp32", "is_ours": False, **values}
    faster = None if ratio is None else Ratio(value=ratio[0], low=ratio[1], high=ratio[2])
    samples_ns = (round(ms * 1e6),) * 8
    return PeerRow(name=name, percentiles_ms={"p50": ms}, ours_is_faster=faster, samples_ns=samples_ns, **told)


def ours(ms: float, name: str = CHOSEN) -> PeerRow:
    return row(name, ms, (1.0, 1.0, 1.0), is_ours=True)


def write_run(path: Path, *rows: PeerRow, **values: Any) -> Path:
    document = peers_document(*rows, **{"frame_hw": (128, 256), "network_hw": (64, 128), **values})
    path.write_text(document.model_dump_json())
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """The second run on a machine that is slower by half; one ratio holds, the other does not."""
    first = write_run(
        tmp_path / "first.json",
        ours(10.0),
        row(EAGER, 40.0, (4.0, 3.8, 4.2)),
        row("torch.compile", 20.0, (2.0, 1.9, 2.1)),
    )
    second = write_run(
        tmp_path / "second.json",
        ours(15.0),
        row(EAGER, 63.0, (4.2, 4.1, 4.3)),
        row("torch.compile", 37.5, (2.5, 2.4, 2.6)),
        created_unix_s=439_200,
    )
    return first, second


def document_of(figures: dict[str, Any]) -> StabilityDocument:
    return StabilityDocument.model_validate_json(Path(figures["document"]).read_text())


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def test_spread_is_of_the_largest_over_the_smallest_and_gaps_count_for_nothing() -> None:
    figure = figure_of([estimate(2.0, 1.9, 2.2), None, estimate(2.5, 2.1, 2.6), estimate(2.2, 2.1, 2.3)])
    assert figure.spread_percent == pytest.approx(25.0)
    assert figure.is_stable is True


@pytest.mark.parametrize(
    ("bounds", "is_stable"),
    [
        ([(1.0, 2.0), (2.0, 3.0)], True),
        ([(1.0, 2.0), (2.1, 3.0)], False),
        ([(1.0, 5.0), (1.0, 2.0), (3.0, 4.0)], False),
        ([(1.0, 3.0), (2.0, 4.0), (2.5, 5.0)], True),
    ],
)
def test_a_figure_is_stable_where_all_intervals_have_a_value_in_common(
    bounds: list[tuple[float, float]], *, is_stable: bool
) -> None:
    assert figure_of([estimate(2.0, low, high) for low, high in bounds]).is_stable is is_stable


@pytest.mark.parametrize("by_run", [[], [None, None], [None, estimate(1.0, 1.0, 1.0)]])
def test_a_single_run_tells_nothing_of_a_figure(by_run: list[Estimate | None]) -> None:
    figure = figure_of(by_run)
    assert (figure.spread_percent, figure.is_stable) == (None, None)


def test_ratios_and_medians_stand_beside_each_other(two: tuple[Path, Path], tmp_path: Path) -> None:
    figures = compare_runs(two, tmp_path / "output")
    document = document_of(figures)
    eager, compiled = document.rows
    assert (eager.name, compiled.name) == (EAGER, "torch.compile")
    assert eager.ours_is_faster.spread_percent == pytest.approx(5.0)
    assert eager.ours_is_faster.is_stable is True
    assert compiled.ours_is_faster.spread_percent == pytest.approx(25.0)
    assert compiled.ours_is_faster.is_stable is False
    assert eager.median_ms.by_run == (estimate(40.0, 40.0, 40.0), estimate(63.0, 63.0, 63.0))
    assert eager.median_ms.spread_percent == pytest.approx(57.5)
    assert document.ours_median_ms.spread_percent == pytest.approx(50.0)
    # The middle of two is their mean: (5 + 25) / 2 and (57.5 + 87.5) / 2.
    assert (figures["ratio_spread_percent"], figures["median_spread_percent"]) == (15.0, 72.5)
    assert (figures["stable_ratios"], figures["stable_medians"]) == ([EAGER], [])
    assert (figures["ours"], figures["differences"]) == ([CHOSEN, CHOSEN], [])


def test_page_says_what_moved_less(two: tuple[Path, Path], tmp_path: Path) -> None:
    page = Path(compare_runs(two, tmp_path / "output")["page"]).read_text()
    assert (
        "- Over 2 runs, ratios moved less than milliseconds: by 15.0 % against 72.5 % in the middle of 2 rows, at "
        "most by 25.0 % (torch.compile) against 87.5 % (torch.compile)." in page
    )
    assert f"| {EAGER} | fp32 | 4.00 (3.80 to 4.20) | 4.20 (4.10 to 4.30) | 5.0 % | overlap |" in page
    assert "| what the runtime chose |  | 10.00 (10.00 to 10.00) | 15.00 (15.00 to 15.00) | 50.0 % | apart |" in page
    assert "| written | 1970-01-05 00:00 UTC | 1970-01-06 02:00 UTC |  |" in page
    assert f"Stable ratios, whose intervals overlap: 1 of 2 ({EAGER})." in page
    assert "which every ratio is over, moved by 50.0 %" in page
    assert "The runs differ in" not in page
    assert "governor" not in page
    assert "[stability.json](stability.json)" in page


@pytest.mark.parametrize(
    ("ratio", "ms", "expected"), [(4.8, 40.0, "more than"), (4.0, 40.0, "as much as"), (4.0, 44.0, "less than")]
)
def test_the_sentence_follows_the_data(tmp_path: Path, ratio: float, ms: float, expected: str) -> None:
    first = write_run(tmp_path / "a.json", ours(10.0), row(EAGER, 40.0, (4.0, 3.9, 4.1)))
    second = write_run(tmp_path / "b.json", ours(9.0), row(EAGER, ms, (ratio, ratio, ratio)))
    page = Path(compare_runs((first, second), tmp_path / "output")["page"]).read_text()
    assert f"ratios moved {expected} milliseconds" in page


def test_a_row_of_one_run_alone_has_a_dash_in_the_others(two: tuple[Path, Path], tmp_path: Path) -> None:
    absent = PeerRow(name="CUDA", path="", precision="fp16", is_ours=False, not_run="no GPU")
    refused = PeerRow(name="TorchScript", path="", precision="fp32", is_ours=False, refusal="other labels")
    third = write_run(
        tmp_path / "third.json", ours(10.0), row("OpenVINO", 12.0, (1.2, 1.1, 1.3), precision="bf16"), absent, refused
    )
    figures = compare_runs((*two, third), tmp_path / "output")
    document = document_of(figures)
    assert [row.name for row in document.rows] == [EAGER, "torch.compile", "OpenVINO"]
    assert document.rows[2].ours_is_faster.is_stable is None
    assert document.rows[0].median_ms.by_run[2] is None
    assert document.without_score == ("CUDA", "TorchScript")
    page = Path(figures["page"]).read_text()
    assert "| OpenVINO | bf16 | - | - | 1.20 (1.10 to 1.30) | - | - |" in page
    assert f"| {EAGER} | fp32 | 4.00 (3.80 to 4.20) | 4.20 (4.10 to 4.30) | - | 5.0 % | overlap |" in page
    assert "Without a score in any run: CUDA; TorchScript." in page
    assert "in the middle of 2 rows" in page


def test_without_a_common_row_nothing_is_concluded(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a.json", ours(10.0), row(EAGER, 40.0, (4.0, 3.9, 4.1)))
    second = write_run(tmp_path / "b.json", ours(10.0))
    figures = compare_runs((first, second), tmp_path / "output")
    assert figures["ratio_spread_percent"] is None
    assert "nothing can be said" in Path(figures["page"]).read_text()


def test_the_runtime_may_choose_another_artefact_in_each_run(tmp_path: Path) -> None:
    fp32 = "fp32.onnx in cpu"
    eager = row(EAGER, 40.0, (4.0, 3.9, 4.1))
    first = write_run(tmp_path / "a.json", ours(10.0), row(fp32, 30.0, (3.0, 2.9, 3.1), is_ours=True), eager)
    second = write_run(tmp_path / "b.json", ours(20.0, fp32), row(EAGER, 40.0, (2.0, 1.9, 2.1)))
    figures = compare_runs((first, second), tmp_path / "output")
    document = document_of(figures)
    assert figures["ours"] == [CHOSEN, fp32]
    assert [run.ours for run in document.runs] == [CHOSEN, fp32]
    assert document.ours_median_ms.spread_percent == pytest.approx(100.0)
    # What was chosen everywhere that it ran has no row of its own; what was chosen in one run has no ratio there.
    assert [row.name for row in document.rows] == [fp32, EAGER]
    assert document.rows[0].ours_is_faster.by_run == (estimate(3.0, 2.9, 3.1), None)
    assert document.rows[0].median_ms.spread_percent == pytest.approx(50.0)
    page = Path(figures["page"]).read_text()
    assert (
        f"did not choose the same in every run, so that each run's ratios are over another time of ours: {CHOSEN}, "
        in page
    )
    assert f"| ours | {CHOSEN} | {fp32} | differs |" in page
    assert figures["differences"] == ["ours"]


def test_a_row_may_compute_in_another_type_on_another_machine(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"{kind}.json", ours(10.0), row("OpenVINO", 20.0, (2.0, 1.9, 2.1), precision=kind))
        for kind in ("bf16", "fp32")
    ]
    page = Path(compare_runs(runs, tmp_path / "output")["page"]).read_text()
    assert "| OpenVINO | bf16, fp32 | 2.00 (1.90 to 2.10) |" in page


@pytest.mark.parametrize(
    ("name", "shown", "values"),
    [
        ("processor", "another", {"environment": ENVIRONMENT.model_copy(update={"cpu": "another"})}),
        ("threads", "1", {"environment": ENVIRONMENT.model_copy(update={"threads": 1})}),
        ("GPU", "H200", {"environment": ENVIRONMENT.model_copy(update={"gpu": "H200"})}),
        ("torch", "3", {"environment": ENVIRONMENT.model_copy(update={"torch": "3"})}),
        ("OpenVINO", "2026", {"environment": ENVIRONMENT.model_copy(update={"openvino": "2026"})}),
        ("checkpoint", "dddddddddddd", {"checkpoint_sha256": "d" * 64}),
        ("manifest", "bbbbbbbbbbbb", {"manifest_sha256": "b" * 64}),
        ("frames timed", "128", {"num_rounds": 128}),
        ("scenario", "no rest", {"scenario": "no rest"}),
    ],
)
def test_what_differs_between_runs_is_shown_and_not_refused(
    two: tuple[Path, Path], tmp_path: Path, name: str, shown: str, values: dict[str, Any]
) -> None:
    third = write_run(tmp_path / "third.json", ours(11.0), **values)
    figures = compare_runs((*two, third), tmp_path / "output")
    assert figures["differences"] == [name]
    page = Path(figures["page"]).read_text()
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
    assert line.endswith(f"| {shown} | differs |")
    assert f"The runs differ in: {name}." in page


def test_another_load_is_shown_and_no_difference(two: tuple[Path, Path], tmp_path: Path) -> None:
    busy = ENVIRONMENT.model_copy(update={"load_average": 9.0})
    third = write_run(tmp_path / "third.json", ours(11.0), environment=busy)
    figures = compare_runs((*two, third), tmp_path / "output")
    assert figures["differences"] == []
    assert "| load before the run | 0.5 | 0.5 | 9.0 |  |" in Path(figures["page"]).read_text()


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("network 'deeplab_v2 resnet101'", {"network": "deeplab_v2 resnet101"}),
        (r"frame size \(height, width\) \(64, 96\)", {"frame_hw": (64, 96)}),
        (r"network's size \(height, width\) \(64, 96\)", {"network_hw": (64, 96)}),
    ],
)
def test_another_network_or_size_is_refused(
    two: tuple[Path, Path], tmp_path: Path, what: str, values: dict[str, Any]
) -> None:
    third = write_run(tmp_path / "third.json", ours(10.0), **values)
    with pytest.raises(ConfigError, match=rf"third\.json and .*first\.json cannot be compared: {what} there, .* here"):
        compare_runs((*two, third), tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_the_same_run_twice_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(two[0].read_bytes())
    with pytest.raises(ConfigError, match="are the same run"):
        compare_runs((*two, copy), tmp_path)
    with pytest.raises(ConfigError, match="nothing to compare it with"):
        compare_runs((two[0], two[0]), tmp_path)


def test_a_document_without_the_bundle_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no row of the bundle"):
        compare_runs((two[0], write_run(tmp_path / "none.json", row(EAGER, 1.0))), tmp_path)


@pytest.mark.parametrize("content", ["{", '{"schema_version": 1}'])
def test_a_damaged_document_is_named(two: tuple[Path, Path], tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DataError, match=r"bad\.json is damaged or of another version"):
        compare_runs((two[0], tmp_path / "bad.json"), tmp_path)


def test_the_document_is_closed_to_other_keys(two: tuple[Path, Path], tmp_path: Path) -> None:
    written = json.loads(Path(compare_runs(two, tmp_path / "output")["document"]).read_text())
    with pytest.raises(ValidationError, match="Extra inputs"):
        StabilityDocument.model_validate({**written, "more": 1})


def test_command_end_to_end(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stability", *map(str, two), "--output", str(tmp_path / "output")]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out.splitlines()[-1])
    assert figures["document"] == str(tmp_path / "output/stability.json")
    assert "ratios moved less than milliseconds" in err
    assert f"run 2: {two[1]}, ours is {CHOSEN}" in err
    assert "4.20 (4.10 to 4.30)" in err


def test_exit_statuses(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_run(tmp_path / "other.json", ours(10.0), network="another")
    output = ["--output", str(tmp_path / "output")]
    assert main(["stability", str(two[0]), str(other), *output]) == 2
    assert "cannot be compared: network 'another' there" in capsys.readouterr().err
    assert main(["stability", str(two[0]), str(tmp_path / "none.json"), *output]) == 1
    assert "`python -m benchmarks peers` makes it" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["stability", str(two[0])])
    assert ended.value.code == 2
