"""Which artefact to take within a budget of milliseconds, of all bundles whose ladders were compared."""

from benchmarks.choose.choose import DOCUMENT_NAME
from benchmarks.choose.document import ChooseDocument
from benchmarks.choose.page import lead_of, verdict
from benchmarks.report.charts.front import Contender, front_chart
from benchmarks.report.run import Run
from benchmarks.report.section import Content, Section

__all__ = ["SECTION"]

COMMAND = "make choose"


def build(run: Run) -> Content:
    """The front over all bundles, the budget, and what is recommended."""
    path = run.config.output / DOCUMENT_NAME
    found: ChooseDocument = run.document(path, ChooseDocument, COMMAND)
    contenders = [
        Contender(f"{one.artefact} of {one.bundle} in {one.engine}", one.ms, one.miou) for one in found.candidates
    ]
    x_name = f"{found.percentile}, milliseconds"
    values = {
        "found": found,
        "verdict": verdict(found),
        "groups": {
            "front": [(found.front.index(one) + 1, one, lead_of(one)) for one in found.front],
            "all": [("", one, lead_of(one)) for one in found.candidates],
        },
        "taken": None if found.recommended is None else found.candidates[found.recommended],
        "chart": front_chart(contenders, x_name=x_name, budget_ms=found.budget_ms, is_front_numbered=True)
        if contenders
        else None,
    }
    ladders = {ladder.path: ladder.sha256 for ladder in found.ladders}
    return Content(values, (path,), run.remade(ladders, COMMAND))


SECTION = Section("choose", "Which to take", COMMAND, build)
