import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.accuracy import PixelCounts, miou_of
from benchmarks.choose.choose import choose
from benchmarks.choose.config import ChooseConfig
from benchmarks.choose.front import fastest_front, leads_within, recommended
from benchmarks.choose.points import Point
from benchmarks.document import LadderDocument, LadderRow
from runtime.errors import ConfigError, DataError
from tests.benchmarks.hand_made import ENVIRONMENT

NUM_FRAMES = 12


def pixels(*hits: int) -> tuple[tuple[int, ...], ...]:
    """Frames of one class and a thousand true pixels each, so many of which are hit: IoU is hits over true."""
    return tuple((hit, 1000, hit) for hit in hits)


def row(artefact: str | None, ms: float, miou: float | None, *, num_samples: int = 64, **values: Any) -> LadderRow:
    hits = () if miou is None else (round(miou * 10),) * NUM_FRAMES
    values.setdefault("class_pixels", pixels(*hits))
    described = {"engine": "ONNX Runtime", "precision": "fp32", "num_bytes": 1, "miou": miou, **values}
    return LadderRow(artefact=artefact, samples_ns=(round(ms * 1e6),) * num_samples, **described)


def write_ladder(path: Path, *rows: LadderRow, **values: Any) -> Path:
    document = LadderDocument(
        created_unix_s=0,
        scenario="",
        classes=("road",),
        rows=rows,
        notes=(),
        num_rounds=64,
        num_compared=1,
        num_test_frames=NUM_FRAMES,
        manifest_sha256="0",
        checkpoint_sha256="0",
        frames=("a",),
        environment=values.pop("environment", ENVIRONMENT),
        config={"bundle": str(path.parent / "bundle"), "test": values.pop("test", {"layout": "streets"})},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document.model_copy(update=values).model_dump_json())
    return path


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A small network of two artefacts and a large one of one."""
    small = write_ladder(
        tmp_path / "small" / "ladder.json",
        row(None, 90.0, 30.0, engine="PyTorch eager fp32"),
        row("fp32.onnx", 40.0, 30.0),
        row("int8-cpu.onnx", 10.0, 29.5, precision="int8"),
        row("fp16.onnx", 45.0, 29.9, precision="fp16"),
        row("fp32.torchscript", 5.0, 99.0, engine="PyTorch"),
    )
    large = write_ladder(tmp_path / "large" / "ladder.json", row("fp32.onnx", 200.0, 35.0))
    return small, large


def test_a_lead_on_every_frame_is_worth_its_time_within_the_budget(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = {
        budget: choose(ChooseConfig(ladders=two, budget_ms=budget), tmp_path / "output")["recommended"]
        for budget in (10.0, 39.9, 40.0, 1000.0)
    }
    assert [(one["artefact"], one["miou"]) for one in found.values()] == [
        ("int8-cpu.onnx", 29.5),
        ("int8-cpu.onnx", 29.5),
        ("fp32.onnx", 30.0),
        ("fp32.onnx", 35.0),
    ]
    assert found[1000.0]["bundle"] == str(tmp_path / "large" / "bundle")


def test_time_is_kept_where_the_frames_show_that_it_would_buy_next_to_nothing(tmp_path: Path) -> None:
    """The slow ones hit 0.2 points more: on every frame, or on one frame of twelve at the cost of the others."""
    fast = row("int8-cpu.onnx", 10.0, 50.0)
    found = {}
    for name, hits in (("every", (502,) * 12), ("one", (546, *(498,) * 11))):
        slow = row("fp32.onnx", 40.0, 50.2, class_pixels=pixels(*hits))
        ladder = write_ladder(tmp_path / name / "ladder.json", fast, slow)
        found[name] = choose(ChooseConfig(ladders=(ladder,), budget_ms=50.0), tmp_path / name)
    chosen = found["every"]["recommended"]
    assert (chosen["artefact"], chosen["lead"]) == ("int8-cpu.onnx", 0.2)
    page = Path(found["every"]["page"]).read_text()
    assert "takes 40.0 ms for 50.20 mIoU, a lead of +0.20 (+0.20 to +0.20): for certain no more than the 0.3" in page
    assert "Recommended is the fastest whose interval ends at 0.3 or below." in page
    # What one frame shows may be a point, so nothing is given away.
    assert (found["one"]["recommended"]["artefact"], found["one"]["recommended"]["lead"]) == ("fp32.onnx", 0.0)
    page = Path(found["one"]["page"]).read_text()
    assert "These frames show nothing faster to lose at most 0.3 points." in page


@pytest.mark.parametrize(("max_loss", "taken"), [(0.1, "fp32.onnx"), (0.2, "int8-cpu.onnx")])
def test_what_may_be_lost_is_the_users_to_say(tmp_path: Path, max_loss: float, taken: str) -> None:
    slow = row("fp32.onnx", 40.0, 50.19, class_pixels=pixels(*(502, 502, 502, 501) * 3))
    ladder = write_ladder(tmp_path / "one" / "ladder.json", row("int8-cpu.onnx", 10.0, 50.0), slow)
    config = ChooseConfig(ladders=(ladder,), budget_ms=50.0, max_loss=max_loss)
    assert choose(config, tmp_path)["recommended"]["artefact"] == taken


def test_too_few_frames_tell_no_lead_and_the_most_accurate_is_taken(tmp_path: Path) -> None:
    fast = row("int8-cpu.onnx", 10.0, 50.0, class_pixels=pixels(500, 500, 500, 500))
    slow = row("fp32.onnx", 40.0, 50.2, class_pixels=pixels(514, 498, 498, 498))
    ladder = write_ladder(tmp_path / "few" / "ladder.json", fast, slow, num_test_frames=4)
    figures = choose(ChooseConfig(ladders=(ladder,), budget_ms=50.0), tmp_path)
    assert figures["recommended"]["artefact"] == "fp32.onnx"
    leads = [
        (one["lead"], one["lead_interval"]) for one in json.loads(Path(figures["document"]).read_text())["candidates"]
    ]
    assert leads == [(pytest.approx(0.2), None), (0.0, None)]
    assert "The most accurate: there are too few labelled frames" in Path(figures["page"]).read_text()


def test_a_ladder_without_the_pixels_of_its_frames_has_to_be_measured_again(tmp_path: Path) -> None:
    ladder = write_ladder(tmp_path / "one" / "ladder.json", row("fp32.onnx", 40.0, 30.0, class_pixels=()))
    with pytest.raises(DataError, match=r"ladder\.json has a mIoU without the pixels of each labelled frame"):
        choose(ChooseConfig(ladders=(ladder,)), tmp_path)


def test_what_is_slower_and_less_accurate_is_not_on_the_front(two: tuple[Path, Path], tmp_path: Path) -> None:
    figures = choose(ChooseConfig(ladders=two), tmp_path / "output")
    document = json.loads(Path(figures["document"]).read_text())
    assert [(one["artefact"], one["is_on_front"]) for one in document["candidates"]] == [
        ("int8-cpu.onnx", True),
        ("fp32.onnx", True),
        ("fp16.onnx", False),
        ("fp32.onnx", True),
    ]
    assert (figures["front"], figures["recommended"]) == (3, None)
    page = Path(figures["page"]).read_text()
    assert "| 45.00 | 29.90 |  |  |" in page
    assert "No budget was given" in page
    assert "Lead:" not in page
    assert Path(figures["picture"]).read_bytes().startswith(b"\x89PNG")


def test_a_budget_below_the_fastest_is_refused_and_the_front_written(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ladders = json.dumps([str(path) for path in two])
    arguments = ["choose", "--budget-ms", "5", "--set", f"choose.ladders={ladders}", "--set", f"output={tmp_path}"]
    assert main(arguments) == 3
    out, err = capsys.readouterr()
    assert "Nothing is within 5 ms: the fastest, int8-cpu.onnx of" in err
    figures = json.loads(out.splitlines()[-1])
    assert figures["recommended"] is None
    assert Path(figures["document"]).is_file()


def test_command_line_budget_is_that_of_the_config(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ladders = json.dumps([str(path) for path in two])
    arguments = ["choose", "--budget-ms", "50", "--set", f"choose.ladders={ladders}", "--set", f"output={tmp_path}"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["recommended"]["ms"] == 40.0
    assert "Within 50 ms: fp32.onnx of" in err


def test_rows_without_a_score_are_named_with_the_reason(tmp_path: Path) -> None:
    ladder = write_ladder(
        tmp_path / "one" / "ladder.json",
        row("fp32.onnx", 40.0, 30.0),
        row("int8-cpu.onnx", 1.0, None, num_samples=0, refusal="label agreement 0.5"),
        row("fp32.engine", 1.0, None, num_samples=0, not_run="no GPU"),
        row("fp16.onnx", 1.0, 30.0, num_samples=63),
    )
    figures = choose(ChooseConfig(ladders=(ladder,)), tmp_path)
    left_out = json.loads(Path(figures["document"]).read_text())["left_out"]
    assert left_out == [
        "one: int8-cpu.onnx in ONNX Runtime: label agreement 0.5",
        "one: fp32.engine in ONNX Runtime: no GPU",
        "one: fp16.onnx in ONNX Runtime: too few samples for p90",
    ]


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("processor", {"environment": ENVIRONMENT.model_copy(update={"cpu": "another"})}),
        ("number of threads", {"environment": ENVIRONMENT.model_copy(update={"threads": 1})}),
        ("labelled frames", {"test": {"layout": "camvid"}}),
        ("labelled frames", {"num_test_frames": 3}),
        ("classes", {"classes": ("sky",)}),
    ],
)
def test_ladders_of_different_measurements_are_not_mixed(
    two: tuple[Path, Path], tmp_path: Path, what: str, values: dict[str, Any]
) -> None:
    other = write_ladder(tmp_path / "other" / "ladder.json", row("fp32.onnx", 1.0, 50.0), **values)
    with pytest.raises(ConfigError, match=rf"cannot be compared: {what} .* name those that belong together"):
        choose(ChooseConfig(ladders=(two[0], other)), tmp_path / "output")


def test_without_a_ladder_the_command_that_makes_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no runs/\*/ladder\.json .*`make ladder`"):
        choose(ChooseConfig(), tmp_path)


def test_ladders_of_the_runs_folder_are_found(
    two: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for path in two:
        path.parent.rename(tmp_path / "elsewhere" / path.parent.name)
    (tmp_path / "elsewhere").rename(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert choose(ChooseConfig(budget_ms=1000.0), Path("output"))["recommended"]["miou"] == 35.0


@pytest.mark.parametrize("content", ["{", '{"schema_version": 1}'])
def test_a_damaged_ladder_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ladder.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"ladder\.json is damaged or of another version"):
        choose(ChooseConfig(ladders=(path,)), tmp_path)


def test_ladders_without_accuracy_leave_nothing_to_choose(tmp_path: Path) -> None:
    ladder = write_ladder(tmp_path / "one" / "ladder.json", row("fp32.onnx", 40.0, None))
    with pytest.raises(DataError, match=r"nothing to choose from .*no mIoU: set benchmarks\.test"):
        choose(ChooseConfig(ladders=(ladder,)), tmp_path)


points = st.builds(
    Point,
    bundle=st.just(Path("bundle")),
    artefact=st.just("a"),
    engine=st.just("e"),
    precision=st.just("fp32"),
    ms=st.integers(1, 20).map(float),
    miou=st.integers(0, 20).map(float),
    counts=st.just(PixelCounts()),
)


@given(st.lists(points, min_size=1))
def test_no_point_beats_the_front(found: list[Point]) -> None:
    front = fastest_front(found)
    for point in found:
        assert any(one.ms <= point.ms and one.miou >= point.miou for one in front)
    for one in front:
        assert not any(other.ms <= one.ms and other.miou > one.miou for other in found)


def point_of(ms: int, hits: list[int]) -> Point:
    counts = PixelCounts(pixels(*hits))
    miou = miou_of(counts)
    assert miou is not None
    return Point(Path("bundle"), "a", "e", "fp32", float(ms), miou, counts)


hits_of_frames = st.lists(st.integers(400, 600), min_size=NUM_FRAMES, max_size=NUM_FRAMES)
counted = st.builds(point_of, st.integers(1, 20), hits_of_frames)


@settings(max_examples=50)
@given(st.lists(counted, min_size=1, max_size=5), st.floats(0.5, 25.0), st.sampled_from([0.0, 0.1, 2.0]))
def test_nothing_faster_is_as_good(found: list[Point], budget_ms: float, max_loss: float) -> None:
    """Of whatever is faster than what is recommended no frames show that it loses at most so much."""
    leads = leads_within(fastest_front(found), budget_ms)
    chosen = recommended(leads, max_loss)
    within = [point for point in found if point.ms <= budget_ms]
    if chosen is None:
        assert not within
        return
    assert chosen in within
    assert leads[-1][0].miou == max(point.miou for point in within)
    for point, lead in leads:
        assert lead.interval is not None
        assert lead.value >= 0.0
        if point is chosen:
            assert lead.interval[1] <= max_loss or point is leads[-1][0]
        if point.ms < chosen.ms:
            assert lead.interval[1] > max_loss
