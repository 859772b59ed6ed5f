"""From a frozen network to the forms that were asked for, and those they are made from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from export.config import ExportConfig
from export.forms import FORMS, ArtefactName, Form
from export.frame_sets import FrameSets
from export.frozen import Frozen
from export.onnx_from_torch import onnx_from_torch
from export.onnx_graph import cut_to_logits
from export.provenance import artefact_facts
from export.pt2_from_torch import pt2_from_torch
from export.quantization.integers import Integers, choose_integers
from export.quantization.sensitivity import LayerSensitivity
from export.tensorrt.build import build_engine
from export.torchscript_from_torch import torchscript_from_torch
from runtime.command import say
from runtime.manifest import EngineInfo, Quantization
from training.config import TrainingConfig

__all__ = ["Made", "make_artefacts", "needed_forms"]


@dataclass(frozen=True, slots=True)
class Made:
    """An artefact on disk that no one has compared yet."""

    name: ArtefactName
    path: Path
    quantization: Quantization | None = None
    sensitivity: Sequence[LayerSensitivity] = ()
    engine: EngineInfo | None = None

    @property
    def form(self) -> Form:
        """What it is."""
        return FORMS[self.name]


def needed_forms(asked: Sequence[ArtefactName]) -> tuple[ArtefactName, ...]:
    """The forms to make for those asked for, each after the one it is made from."""
    needed = {ancestor for name in asked for ancestor in _line(name)}
    return tuple(name for name in FORMS if name in needed)


def make_artefacts(
    frozen: Frozen, sets: FrameSets, config: ExportConfig, training: TrainingConfig | None, folder: Path
) -> dict[ArtefactName, Made]:
    """Make every form that is needed.

    Args:
        frozen: the network.
        sets: frames; those of the gate are not touched.
        config: what to make.
        training: how the network learns to live with integers, where `config.int8.aware` wants that.
        folder: where the files go, under their names in a bundle.

    Raises:
        BackendError: an exporter is missing or failed.
        GateError: an exporter made something else than was asked for.
    """
    made: dict[ArtefactName, Made] = {}
    for name in needed_forms(config.artefacts):
        say(f"making {name}")
        made[name] = _make(name, made, frozen, sets, config, training, folder / name)
    return made


def _make(
    name: ArtefactName,
    made: Mapping[ArtefactName, Made],
    frozen: Frozen,
    sets: FrameSets,
    config: ExportConfig,
    training: TrainingConfig | None,
    path: Path,
) -> Made:
    form = FORMS[name]
    source = made[form.made_from] if form.made_from else None
    facts = artefact_facts(frozen, config.checkpoint, form)
    match form:
        case Form(format="onnx", tail="logits"):
            assert source is not None
            cut_to_logits(source.path, path)
            return Made(name, path, source.quantization)
        case Form(format="onnx", precision="int8"):
            assert source is not None
            assert form.scheme is not None
            integers: Integers = choose_integers(
                source.path, path, scheme=form.scheme, frozen=frozen, sets=sets, config=config, training=training
            )
            return Made(name, path, integers.quantization, integers.sensitivity)
        case Form(format="onnx"):
            onnx_from_torch(frozen.network, path, facts, form.precision)
            return Made(name, path)
        case Form(format="torchscript"):
            torchscript_from_torch(frozen.network, path, facts)
            return Made(name, path)
        case Form(format="pt2"):
            pt2_from_torch(frozen.network, path, facts)
            return Made(name, path)
        case Form(format="tensorrt"):
            assert source is not None
            engine = build_engine(source.path, path, form.precision, config.tensorrt)
            return Made(name, path, source.quantization, engine=engine)
        case _:
            assert_never(form.format)  # type: ignore[arg-type]


def _line(name: ArtefactName) -> Iterator[ArtefactName]:
    """An artefact and those it is made from."""
    yield name
    if made_from := FORMS[name].made_from:
        yield from _line(made_from)
