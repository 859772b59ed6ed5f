"""Where the labels of an artefact differ: a picture for the person who has to decide what to do about it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from export.gates.tally import Confusion, FrameDifference
from export.gates.verdict import Verdict
from runtime.images import write_png
from runtime.labels import ClassInfo
from runtime.overlay import blend, colour_labels, draw_legend

__all__ = ["write_differences"]

CELL_WIDTH = 560
"""Frames are scaled to it, small ones by a whole number."""
GAP = 6
MARGIN = 12
SIZE = 20
"""Of the text, in pixels."""
LINE = SIZE * 3 // 2
LABEL_OPACITY = 0.75
PAPER, INK, MARK = (24, 24, 24), (235, 235, 235), (255, 225, 0)
CAPTIONS = ("target frame", "PyTorch, float32", "this artefact", "differing pixels")
SHOWN_PROBLEMS = 6

Picture = NDArray[np.uint8]


def write_differences(path: Path, verdict: Verdict, classes: Sequence[ClassInfo]) -> bool:
    """Write a PNG of the frames whose labels differ most, under the verdict and above the classes most confused.

    Args:
        path: the PNG.
        verdict: of the artefact.
        classes: the manifest's; the position is the train id.

    Returns:
        False, and no file, where no pixel of any frame differs.
    """
    compared = verdict.compared
    if not compared.differences:
        return False
    rows = [_row(difference, classes) for difference in compared.differences]
    width = max(row.shape[1] for row in rows)
    occurring = np.unique([labels for d in compared.differences for labels in (d.expected, d.got)])
    parts = [
        _text(_heading(verdict), width),
        _captions(rows[0].shape[1], width),
        *rows,
        _text(["classes most confused"], width),
        _confusions(compared.confusions, classes, width),
        draw_legend(classes, [int(one) for one in occurring if one < len(classes)], width),
    ]
    write_png(path, _framed(parts))
    return True


def _heading(verdict: Verdict) -> list[str]:
    artefact = verdict.artefact
    engines = " and ".join(parity.engine for parity in artefact.parity)
    lines = [f"{artefact.file} ({artefact.precision}{f', in {engines}' if engines else ''}): {verdict.word}"]
    lines += verdict.problems[:SHOWN_PROBLEMS]
    if len(verdict.problems) > SHOWN_PROBLEMS:
        lines.append(f"and {len(verdict.problems) - SHOWN_PROBLEMS} more")
    return lines


def _row(difference: FrameDifference, classes: Sequence[ClassInfo]) -> Picture:
    """One frame's four cells."""
    frame, labels = difference.frame, (difference.expected, difference.got)
    differing = difference.expected != difference.got
    grey = np.repeat((frame @ np.array([0.299, 0.587, 0.114]) * 0.45).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    pictures = [_scaled(frame), *(_scaled(blend(frame, colour_labels(one, classes), LABEL_OPACITY)) for one in labels)]
    marked = _scaled(grey).copy()
    # A single pixel must survive being scaled down.
    marked[_scaled(np.where(differing, np.uint8(255), np.uint8(0))) > 0] = MARK
    cells = [_padded(cell, right=GAP, below=0) for cell in (*pictures, marked)]
    note = _text([f"gate frame {difference.index}: {differing.mean():.3%} of the pixels differ"], 4 * cells[0].shape[1])
    return np.concatenate([np.concatenate(cells, axis=1), note])


def _scaled(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    if width <= CELL_WIDTH:
        factor = CELL_WIDTH // width
        return picture.repeat(factor, axis=0).repeat(factor, axis=1)
    size = (CELL_WIDTH, round(height * CELL_WIDTH / width))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _captions(row_width: int, width: int) -> Picture:
    strip, draw, font = _strip(width, LINE + GAP)
    for place, caption in enumerate(CAPTIONS):
        draw.text((place * row_width // len(CAPTIONS), GAP), caption, fill=INK, font=font)
    return np.asarray(strip)


def _confusions(confusions: Sequence[Confusion], classes: Sequence[ClassInfo], width: int) -> Picture:
    """A line for each: the colour and name of what PyTorch says, and of what the artefact says."""
    strip, draw, font = _strip(width, LINE * max(1, len(confusions)) + GAP)
    name_width = LINE + max(int(font.getlength(entry.name)) for entry in classes)
    for line, confusion in enumerate(confusions):
        top = line * LINE
        for place, train_id in enumerate((confusion.expected, confusion.got)):
            left = place * (name_width + 2 * LINE)
            entry = classes[train_id]
            draw.rectangle((left, top + 2, left + SIZE, top + 2 + SIZE), fill=entry.colour, outline=INK)
            draw.text((left + LINE, top), entry.name, fill=INK, font=font)
        draw.text((name_width + LINE // 2, top), "as", fill=INK, font=font)
        figures = (
            f"{confusion.num_pixels} pixels, {confusion.share:.2%} of PyTorch's {classes[confusion.expected].name}"
        )
        draw.text((2 * (name_width + 2 * LINE), top), figures, fill=INK, font=font)
    return np.asarray(strip)


def _text(lines: Sequence[str], width: int) -> Picture:
    """Lines of text, wrapped at the width."""
    font = ImageFont.load_default(size=SIZE)
    per_line = max(20, int(width / font.getlength("n")))
    wrapped = [part for line in lines for part in textwrap.wrap(line, per_line, subsequent_indent="    ")]
    strip, draw, font = _strip(width, len(wrapped) * LINE + GAP)
    for place, line in enumerate(wrapped):
        draw.text((0, place * LINE), line, fill=INK, font=font)
    return np.asarray(strip)


def _strip(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, ImageFont.FreeTypeFont]:
    strip = Image.new("RGB", (width, height), PAPER)
    font = ImageFont.load_default(size=SIZE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return strip, ImageDraw.Draw(strip), font


def _framed(parts: Sequence[Picture]) -> Picture:
    """Parts below each other, with a margin around."""
    width = max(part.shape[1] for part in parts)
    sheet = np.concatenate([_padded(part, right=width - part.shape[1], below=GAP) for part in parts])
    framed: Picture = np.full((sheet.shape[0] + 2 * MARGIN, width + 2 * MARGIN, 3), PAPER, dtype=np.uint8)
    framed[MARGIN:-MARGIN, MARGIN:-MARGIN] = sheet
    return framed


def _padded(picture: Picture, *, right: int, below: int) -> Picture:
    height, width = picture.shape[:2]
    padded: Picture = np.full((height + below, width + right, 3), PAPER, dtype=np.uint8)
    padded[:height, :width] = picture
    return padded
