"""The whole gate for one artefact: it is run, measured and judged, and what comes out is its entry in the manifest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from export.config import Budgets
from export.engines import open_engines
from export.forms import Form
from export.gates.budgets import problems as budget_problems
from export.gates.comparison import Compared, Reference, compare
from export.gates.precision import float_layers_problem
from export.onnx_graph import low_precision_share
from runtime.bundle.manifest import Artefact, EngineInfo, Quantization
from runtime.errors import GateError
from runtime.files import sha256_of

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An artefact, how it compared, and why it is refused, a sentence each; none where it may be in the bundle."""

    artefact: Artefact
    problems: tuple[str, ...]
    compared: Compared

    @property
    def word(self) -> str:
        """What becomes of it."""
        if self.problems:
            return "refused"
        return "kept" if self.artefact.parity else "not run"


def judge(
    reference: Reference,
    path: Path,
    form: Form,
    budgets: Budgets,
    *,
    quantization: Quantization | None = None,
    engine: EngineInfo | None = None,
) -> Verdict:
    """Compare an artefact with PyTorch in every engine of this machine, and hold it against its budget.

    An artefact that no engine of this machine runs is not refused for that; the manifest says so, and why.

    Args:
        reference: PyTorch's answers.
        path: the artefact.
        form: what it is.
        budgets: of all precisions.
        quantization: how an INT8 artefact got its integers.
        engine: what a TensorRT engine was built with.

    Raises:
        DataError: a frame cannot be read, or has another size.
    """
    network = reference.frozen.network
    with open_engines(path, form, reference.frozen, engine=engine) as opened:
        compared = compare(reference, opened, path=path, form=form)
    share, unknown = _share(path, form)
    artefact = Artefact(
        file=path.name,
        sha256=sha256_of(path),
        num_bytes=path.stat().st_size,
        format=form.format,
        precision=form.precision,
        tail=form.tail,
        parity=compared.parities,
        not_run=compared.not_run,
        low_precision_share=share,
        golden_agreement=compared.golden_agreement,
        quantization=quantization,
        engine=engine,
    )
    outside = budget_problems(
        artefact,
        budgets,
        frame_hw=network.frame_hw,
        weight_bytes=sum(4 * weight.numel() for weight in network.parameters()),
    )
    return Verdict(artefact, (*compared.problems, *unknown, *_float_layers(path, artefact), *outside), compared)


def _share(path: Path, form: Form) -> tuple[float | None, list[str]]:
    """How much of an ONNX graph has its precision, or why that cannot be told."""
    if form.format != "onnx" or form.precision == "fp32":
        return None, []
    try:
        return low_precision_share(path, form.precision), []
    except GateError as error:
        return None, [str(error)]


def _float_layers(path: Path, artefact: Artefact) -> Iterator[str]:
    if artefact.format == "onnx" and artefact.quantization is not None:
        problem = float_layers_problem(path, artefact.quantization.float_layers)
        if problem is not None:
            yield problem
