"""The front as a table, for people: Markdown and aligned text."""

from benchmarks.choose.document import Candidate, ChooseDocument
from benchmarks.tables import change, markdown_table, text_table

__all__ = ["choose_page", "choose_text", "lead_of", "verdict"]

LEAD = (
    " Lead: points of mIoU by which the most accurate within the budget is ahead, with a 95 % bootstrap interval over "
    "these frames. Recommended is the fastest whose interval ends at {max_loss:g} or below."
)


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
        "Numbers are those of the front in the picture: what no other beats in mIoU without taking longer. Times are "
        f"{document.percentile} from a decoded frame to its labels; mIoU is over the labelled frames of the ladders."
        f"{'' if document.budget_ms is None else LEAD.format(max_loss=document.max_loss)}",
        "",
        *(f"- left out: {reason}" for reason in document.left_out),
        "",
        f"From: {', '.join(f'`{ladder.path}`' for ladder in document.ladders)}",
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
        return "No budget was given; `--budget-ms 50` recommends what to take within 50 ms."
    if document.recommended is None:
        fastest = document.candidates[0]
        return (
            f"Nothing is within {document.budget_ms:g} ms: the fastest, {_title(fastest)}, takes {fastest.ms:.1f} ms. "
            "Try a smaller network_hw, a smaller backbone, INT8 or more threads."
        )
    found, loss = document.candidates[document.recommended], f"{document.max_loss:g}"
    told = (
        f"Within {document.budget_ms:g} ms: {_title(found)}, {found.miou:.2f} mIoU in {found.ms:.1f} ms "
        f"({document.percentile})."
    )
    if found.lead_interval is None:
        return f"{told} The most accurate: there are too few labelled frames to tell what its lead is worth."
    if document.most_accurate in (None, document.recommended):
        is_fastest = document.front[0] is found
        return told if is_fastest else f"{told} These frames show nothing faster to lose at most {loss} points."
    best = document.candidates[document.most_accurate]
    return (
        f"{told} {_title(best)} takes {best.ms:.1f} ms for {best.miou:.2f} mIoU, a lead of {lead_of(found)}: for "
        f"certain no more than the {loss} points that may be lost."
    )


def _title(candidate: Candidate) -> str:
    return f"{candidate.artefact} of {candidate.bundle} in {candidate.engine}"


def _header(document: ChooseDocument) -> list[str]:
    lead = [] if document.budget_ms is None else ["lead"]
    return ["bundle", "artefact", "engine", f"{document.percentile} ms", "mIoU", *lead, "front", ""]


def _rows(document: ChooseDocument) -> list[list[str]]:
    return [
        [
            str(found.bundle),
            found.artefact,
            found.engine,
            f"{found.ms:.2f}",
            f"{found.miou:.2f}",
            *([] if document.budget_ms is None else [lead_of(found)]),
            str(document.front.index(found) + 1) if found.is_on_front else "",
            "recommended" if index == document.recommended else "",
        ]
        for index, found in enumerate(document.candidates)
    ]


def lead_of(candidate: Candidate) -> str:
    """The lead over a candidate, with its interval; `-` where there is none."""
    return change(candidate.lead, candidate.lead_interval)
