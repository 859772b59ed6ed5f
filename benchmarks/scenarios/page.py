"""All scenarios as tables: Markdown for their page, aligned text for a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.samples import MIN_SAMPLES
from benchmarks.scenarios.document import Camera, ScenariosDocument, Times
from benchmarks.tables import ABSENT, markdown_table, number, text_table, with_interval

__all__ = ["scenarios_page", "scenarios_text"]

LONG_S = 600
"""Seconds that MLPerf Inference asks of a run."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A scenario: its name, its table, and what has to be known to read it."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def scenarios_page(document: ScenariosDocument, bundle: Path, document_name: str, picture_name: str | None) -> str:
    """The whole page, in Markdown.

    Args:
        document: what was measured.
        bundle: named in the title.
        document_name: file of the document, beside the page.
        picture_name: file of the picture, beside the page; None where nothing was drawn.
    """
    lines = [f"# `{bundle}` as it is used", "", *(f"- {line}" for line in _legend(document)), ""]
    if picture_name is not None:
        lines += [f"![Ages of labels, and times of one stream]({picture_name})", ""]
    for part in _parts(document):
        lines += [f"## {part.title}", "", *markdown_table(part.header, part.rows), ""]
        lines += [*(f"- {note}" for note in part.notes), ""]
    lines += [*document.environment.table(), "", f"Document, with every sample: [{document_name}]({document_name})"]
    return "\n".join(lines) + "\n"


def scenarios_text(document: ScenariosDocument) -> str:
    """Tables and legend for a terminal."""
    blocks = ["\n".join([part.title, text_table(part.header, part.rows), *part.notes]) for part in _parts(document)]
    return "\n\n".join([*blocks, "\n".join(_legend(document))])


def _legend(document: ScenariosDocument) -> list[str]:
    lines = [
        f"`{document.artefact}` in {document.engine}, {_threads(document.environment.threads)} of the CPU in all; "
        f"{len(document.frames)} frames in rotation; {document.warmup} frames of warm-up apart; nothing left out.",
        "A percentile stands only where its samples are enough: "
        + ", ".join(f"{name} needs {needed}" for name, needed in MIN_SAMPLES.items())
        + f"; {ABSENT} where they are not.",
        "Labels were compared while the time was taken: a fifth of the outputs, drawn at random, with those of the "
        "same network before. Intervals are 95 %, by bootstrap, within this run.",
    ]
    return [*lines, *(f"Not met: {unmet}." for unmet in document.unmet)]


def _parts(document: ScenariosDocument) -> Iterator[_Part]:
    yield from _single_stream(document)
    yield from _offline(document)
    yield from _cameras(document)
    yield from _contention(document)
    yield from _cold_start(document)
    yield from _resume(document)


def _single_stream(document: ScenariosDocument) -> Iterator[_Part]:
    single = document.single_stream
    if single is None:
        return
    stages = [
        [name, *(number(found[key], 3) for key in MIN_SAMPLES), ABSENT] for name, found in single.stages_ms.items()
    ]
    length = "" if single.duration_s >= LONG_S else f", a short run: MLPerf asks for {LONG_S} s"
    yield _Part(
        "Single stream",
        ["ms", *MIN_SAMPLES, "max"],
        [["frame to labels", *_cells(single.times)], *stages],
        [
            f"The next frame comes right after the labels of the last one: {single.frames_per_s:.1f} frames a second "
            f"over {len(single.times.samples_ns)} frames, {single.duration_s:.0f} s{length}.",
            "Copy, infer and return add up to the whole of each frame; their percentiles need not.",
            "Slowest, by number of the frame: "
            + ", ".join(f"{found.ms:.1f} ms at {found.index}" for found in single.times.worst)
            + ".",
            _agreement([single.checked.label_agreement], single.checked.num_compared),
        ],
    )


def _offline(document: ScenariosDocument) -> Iterator[_Part]:
    offline = document.offline
    if offline is None:
        return
    rows = [
        [
            f"**{row.name}**" if row.is_ours else row.name,
            str(row.batch_size),
            f"{row.frames_per_s:.1f}",
            with_interval(row.against_first),
        ]
        for row in offline.rows
    ]
    yield _Part(
        "Offline",
        ["way", "batch size", "frames a second", "against the first row, x"],
        rows,
        [
            "Bold: the bundle, whose artefacts take one frame at a time: real batches are the peer's alone. Several "
            "engines work off one queue, each with its share of the threads.",
            f"{offline.num_rounds} rounds of {offline.round_frames} frames each, taking turns in an order drawn anew; "
            "frames a second over all rounds, ratios by the medians of rounds.",
            _agreement(
                [row.checked.label_agreement for row in offline.rows],
                sum(row.checked.num_compared for row in offline.rows),
            ),
        ],
    )


def _cameras(document: ScenariosDocument) -> Iterator[_Part]:
    header = [
        "age of labels in ms",
        "deadline",
        *MIN_SAMPLES,
        "max",
        "taken",
        "published",
        "dropped",
        "lost",
        "withheld",
        "unseen",
        "late",
        "missed",
    ]
    about = (
        "Newest frame wins. Ages are those in the sink, from the moment at which the camera had the frame due, "
        "whatever held the loop up. Taken = published + dropped + lost + withheld; unseen were published and overtaken "
        "on their way to the sink; missed is the share of all frames taken whose labels were not in the sink by their "
        "deadline."
    )
    if document.cameras:
        yield _Part(
            "Camera",
            header,
            [[f"{camera.rate_hz:g} Hz", *_camera(camera)] for camera in document.cameras],
            [about, *_camera_agreement(document.cameras)],
        )
    if document.multi_camera:
        yield _Part(
            "Several cameras at once",
            header,
            [
                [f"camera {place}, {camera.rate_hz:g} Hz", *_camera(camera)]
                for place, camera in enumerate(document.multi_camera)
            ],
            [
                f"{len(document.multi_camera)} cameras from one moment on, each with a loop and an engine of "
                f"{_threads(document.multi_camera[0].threads)} in a process of its own, as the runtime serves them.",
                *_camera_agreement(document.multi_camera),
            ],
        )


def _camera(camera: Camera) -> list[str]:
    counters = camera.counters
    return [
        f"{camera.deadline_ms:.1f}",
        *_cells(camera.times),
        str(camera.num_frames),
        *(str(counters[f"num_{name}"]) for name in ("published", "dropped", "lost", "withheld")),
        str(camera.num_unseen),
        str(camera.num_late),
        f"{camera.missed_share:.2%}",
    ]


def _camera_agreement(cameras: Sequence[Camera]) -> list[str]:
    checked = [camera.checked for camera in cameras if camera.checked is not None]
    if not checked:
        return ["No labels came, and none were compared."]
    return [_agreement([found.label_agreement for found in checked], sum(found.num_compared for found in checked))]


def _contention(document: ScenariosDocument) -> Iterator[_Part]:
    found = document.contention
    if found is None:
        return
    yield _Part(
        "Contention",
        ["ms", *MIN_SAMPLES, "max"],
        [["quiet", *_cells(found.quiet)], ["beside a second load", *_cells(found.loaded)]],
        [
            f"The load: {found.load}, {_threads(found.load_threads)}, on the same cores. {found.num_blocks} blocks of "
            f"{found.block_queries} frames of each kind, taking turns in an order drawn anew, each after a frame that "
            "no time counts.",
            f"Slowdown, loaded over quiet, by the medians of blocks: {with_interval(found.slowdown)}.",
            _agreement([found.checked.label_agreement], found.checked.num_compared),
        ],
    )


def _cold_start(document: ScenariosDocument) -> Iterator[_Part]:
    start = document.cold_start
    if start is None:
        return
    yield _Part(
        "Cold start",
        ["median ms", *start.stages_ms, "in all"],
        [["serve", *(f"{value:.0f}" for value in start.stages_ms.values()), f"{start.ready_ms:.0f}"]],
        [
            f"From the start of a process of `serve` until it is ready, {start.num_processes} times; the files lie in "
            "the system's memory from the second one on."
        ],
    )


def _resume(document: ScenariosDocument) -> Iterator[_Part]:
    found = document.resume
    if found is None:
        return
    yield _Part(
        "Resume after idle",
        ["ms", *MIN_SAMPLES, "max"],
        [
            [f"first frame after {found.idle_s:g} s", *_cells(found.first)],
            ["frames in a run", *_cells(found.running)],
        ],
        [
            f"{found.num_pauses} pauses. Slowdown, first over running, by medians: {with_interval(found.slowdown)}.",
            _agreement([found.checked.label_agreement], found.checked.num_compared),
        ],
    )


def _threads(number: int) -> str:
    return f"{number} thread{'' if number == 1 else 's'}"


def _cells(times: Times | None) -> list[str]:
    if times is None:
        return [ABSENT] * (len(MIN_SAMPLES) + 1)
    return [*(number(times.percentiles_ms[name], 2) for name in MIN_SAMPLES), f"{times.max_ms:.2f}"]


def _agreement(shares: Sequence[float], num_compared: int) -> str:
    return f"Labels agree on at least {min(shares):.4%} of the pixels, over {num_compared} timed outputs."
