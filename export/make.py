"""From a frozen network to the forms that were asked for, and those they are made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from export.config import ExportConfig
from export.forms import FORMS, ArtefactName, Form
from export.frame_sets import FrameSets
from export.frozen import Frozen
from export.onnx_from_torch import onnx_from_torch
from export.onnx_graph import cut_to_logits, with_facts
from export.provenance import artefact_facts
from export.pt2_from_torch import pt2_from_torch
from export.quantization.choose import Calibration, calibrate
from export.quantization.integers import choose_integers
from export.quantization.sensitivity import LayerSensitivity
from export.tensorrt.build import build_engine
from export.torchscript_from_torch import torchscript_from_torch
from runtime.bundle.manifest import EngineInfo, Quantization
from runtime.command import say
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
    workshop = _Workshop(frozen, sets, config, training, folder)
    for name in needed_forms(config.artefacts):
        say(f"making {name}")
        workshop.made[name] = workshop.make(name, FORMS[name])
    return workshop.made


class _Workshop:
    """What the forms of one network are made with; each is made after the one it is made from."""

    def __init__(
        self, frozen: Frozen, sets: FrameSets, config: ExportConfig, training: TrainingConfig | None, folder: Path
    ) -> None:
        self._frozen, self._sets, self._config, self._training, self._folder = frozen, sets, config, training, folder
        self.made: dict[ArtefactName, Made] = {}

    def make(self, name: ArtefactName, form: Form) -> Made:
        path, network = self._folder / name, self._frozen.network
        facts = artefact_facts(self._frozen, self._config.checkpoint, precision=form.precision, tail=form.tail)
        if form.made_from is not None:
            return self._make_from(self.made[form.made_from], name, form, facts)
        match form.format:
            case "onnx":
                assert form.precision != "int8"
                onnx_from_torch(network, path, facts, form.precision)
            case "torchscript":
                torchscript_from_torch(network, path, facts)
            case "pt2":
                pt2_from_torch(network, path, facts)
            case "tensorrt":
                raise AssertionError("engines are made from ONNX")
        return Made(name, path)

    def _make_from(self, source: Made, name: ArtefactName, form: Form, facts: dict[str, str]) -> Made:
        path, config = self._folder / name, self._config
        if form.format == "tensorrt":
            engine = build_engine(source.path, path, form.precision, config.tensorrt)
            return Made(name, path, source.quantization, engine=engine)
        if form.tail == "logits":
            cut_to_logits(source.path, path)
            with_facts(path, facts)
            return Made(name, path, source.quantization)
        assert form.scheme is not None
        choice = choose_integers(
            source.path,
            path,
            scheme=form.scheme,
            frozen=self._frozen,
            facts=facts,
            sets=self._sets,
            config=config,
            training=self._training,
            calibration=self._calibration,
        )
        with_facts(path, facts)
        return Made(name, path, choice.quantization, choice.sensitivity)

    @cached_property
    def _calibration(self) -> Calibration:
        """Of the float32 graph; the same for every scheme."""
        space = self._frozen.spec.label_space
        return calibrate(
            self.made["fp32.onnx"].path,
            self._sets,
            self._config.int8,
            num_classes=space.num_classes,
            class_names=space.names,
        )


def _line(name: ArtefactName) -> Iterator[ArtefactName]:
    """An artefact and those it is made from."""
    yield name
    if made_from := FORMS[name].made_from:
        yield from _line(made_from)
