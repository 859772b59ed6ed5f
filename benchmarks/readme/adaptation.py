"""What an adaptation step costs, as docs/training.md shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.adaptation.document import AdaptationDocument
from benchmarks.tables import markdown_table, number
from runtime.errors import DataError

__all__ = ["adaptation_of", "read_adaptation", "step_results"]

HOW = "python -m benchmarks readme --adaptation runs/adaptation.json"


def adaptation_of(document: Mapping[str, Any]) -> AdaptationDocument:
    """The document of `python -m benchmarks adapt`, every step included: it is small.

    Raises:
        DataError: it is none of that command.
    """
    try:
        return AdaptationDocument.model_validate(document)
    except ValidationError as error:
        raise DataError(
            f"the document ({error.errors()[0]['msg']}) is not one that `python -m benchmarks adapt` wrote; give that "
            "command's adaptation.json"
        ) from error


def read_adaptation(path: Path) -> AdaptationDocument:
    """Read the committed figures.

    Raises:
        DataError: the file is not there, or not one that `adaptation_of` made.
    """
    try:
        return AdaptationDocument.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} does not hold figures of an adaptation step ({error}); write it again with `{HOW}`"
        ) from error


def step_results(document: AdaptationDocument) -> str:
    """A column for each contender, the plain step first, and what the table is of."""
    plain, *ours = document.contenders
    header = ["", "plain, fp32", *(f"ours, {found.precision}" for found in ours)]
    speedups = (f"**{document.speedup_vs_plain[found.precision]:.2f}x**" for found in ours)
    memory = (f"{_gib(found.peak_bytes)} ({document.memory_vs_plain[found.precision]:.2f}x)" for found in ours)
    rows = [
        ["images/s", *(number(found.images_per_s, 3) for found in document.contenders)],
        ["against the plain step", "1", *speedups],
        ["peak memory, torch's own included", _gib(plain.peak_bytes), *memory],
    ]
    environment, config = document.environment, document.config
    height, width = config["crop_hw"]
    return "\n".join(
        (
            *markdown_table(header, rows),
            "",
            f"`{config['backbone']}`, crops of {width}x{height}, batch {config['batch_size']}; medians of "
            f"{len(plain.seconds)} steps each, taking turns in one run; {environment.threads} threads of "
            f"{environment.cpu}, torch {environment.torch}.",
        )
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
