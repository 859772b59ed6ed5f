"""The front as a table, for people: Markdown and aligned text."""

from benchmarks.choose.document import Candidate, ChooseDocument
from benchmarks.tables import markdown_table, text_table

__all__ = ["choose_page", "choose_text", "verdict"]


def choose_page(document: ChooseDocument, document_name: str, picture_name: str) -> str:
    """The whole page, in Markdown; files are named as they lie beside it."""
    lines = [
        "# Accuracy against time",
        "",
        verdict(document),
        "",
        f"![mIoU against milliseconds, and the front]({picture_name})",
        "",
        *markdown_table(_header(document), _rows(document)),
        "",
        f"`front` marks what no other beats in mIoU without taking longer. Times are {document.percentile} from a "
        "decoded frame to its labels; mIoU is over the labelled frames of the ladders.",
        "",
        *(f"- left out: {reason}" for reason in document.left_out),
        "",
        f"From: {', '.join(f'`{path}`' for path in document.ladders)}",
        "",
        *document.environment.table(),
        "",
        f"Document: [{document_name}]({document_name})",
    ]
    return "\n".join(lines) + "\n"


def choose_text(document: ChooseDocument) -> str:
    """Table and recommendation for a terminal."""
    left_out = [f"left out: {reason}" for reason in document.left_out]
    return "\n".join([text_table(_header(document), _rows(document), num_left=3), *left_out, verdict(document)])


def verdict(document: ChooseDocument) -> str:
    """The recommendation in a sentence."""
    if document.budget_ms is None:
        return "No budget was given; `--budget-ms 50` recommends the most accurate within 50 ms."
    if document.recommended is None:
        fastest = document.candidates[0]
        return (
            f"Nothing is within {document.budget_ms:g} ms: the fastest, {_title(fastest)}, takes {fastest.ms:.1f} ms. "
            "Try a smaller network_hw, a smaller backbone, INT8 or more threads."
        )
    found = document.candidates[document.recommended]
    return (
        f"Within {document.budget_ms:g} ms: {_title(found)}, {found.miou:.2f} mIoU in {found.ms:.1f} ms "
        f"({document.percentile})."
    )


def _title(candidate: Candidate) -> str:
    return f"{candidate.artefact} of {candidate.bundle} in {candidate.engine}"


def _header(document: ChooseDocument) -> list[str]:
    return ["bundle", "artefact", "engine", f"{document.percentile} ms", "mIoU", ""]


def _rows(document: ChooseDocument) -> list[list[str]]:
    return [
        [
            str(found.bundle),
            found.artefact,
            found.engine,
            f"{found.ms:.2f}",
            f"{found.miou:.2f}",
            ("recommended" if index == document.recommended else "front") if found.is_on_front else "",
        ]
        for index, found in enumerate(document.candidates)
    ]
