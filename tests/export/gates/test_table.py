from typing import Any

from export.gates.comparison import Compared
from export.gates.table import gate_document, gate_markdown, gate_table
from export.gates.verdict import Verdict
from runtime.bundle.manifest import Artefact, ClassParity, Parity

PARITY = Parity(
    engine="onnxruntime",
    num_frames=4,
    label_agreement=0.9999996,
    max_confidence_difference=1,
    logits_error=1.26e-4,
    rare_recall=0.99999,
    miou=61.234,
    miou_change=-0.021,
    classes=(
        ClassParity(name="road", share=0.9, recall=1.0),
        ClassParity(name="pole", share=0.01, recall=0.99999),
        ClassParity(name="train", share=0.0),
    ),
)


def verdict(*problems: str, **values: Any) -> Verdict:
    defaults = {
        "file": "fp16.onnx",
        "sha256": "0" * 64,
        "num_bytes": 2_340_000,
        "format": "onnx",
        "precision": "fp16",
        "parity": (PARITY,),
        "low_precision_share": 0.9996,
    }
    return Verdict(Artefact.model_validate({**defaults, **values}), problems, Compared(()))


ENGINE = verdict(file="fp32.engine", format="tensorrt", precision="fp32", parity=(), not_run="no CUDA device")
ENGINE = Verdict(ENGINE.artefact.model_copy(update={"low_precision_share": None}), (), ENGINE.compared)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_figures_are_rounded_so_that_a_difference_never_disappears() -> None:
    row = cells(gate_markdown([verdict()]).splitlines()[2])
    assert row == [
        "fp16.onnx",
        "2.3",
        "onnxruntime",
        "0.999999",
        "0.9999 pole",
        "0.9999",
        "1.3e-04",
        "61.23",
        "-0.02",
        "0.999",
        "kept",
    ]


def test_every_engine_has_a_row_and_one_that_was_not_run_says_why() -> None:
    both = verdict(parity=(PARITY, PARITY.model_copy(update={"engine": "openvino", "logits_error": None})))
    lines = gate_table([both, ENGINE]).splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["fp16.onnx", "2.3", "onnxruntime"],
        ["fp16.onnx", "2.3", "openvino"],
    ]
    assert lines[3].split() == ["fp32.engine", "2.3", *["-"] * 8, "not", "run"]
    assert lines[4] == "fp32.engine was not run: no CUDA device"


def test_refused_artefacts_are_in_the_table_with_their_reasons_below() -> None:
    refused = verdict("label agreement 0.5", "its output is constant", file="int8.onnx")
    lines = gate_table([verdict(), refused]).splitlines()
    assert lines[1].endswith("kept")
    assert lines[2].endswith("refused")
    assert lines[3:] == ["int8.onnx is refused: label agreement 0.5", "int8.onnx is refused: its output is constant"]
    assert "- int8.onnx is refused: its output is constant" in gate_markdown([verdict(), refused])


def test_columns_stand_below_each_other() -> None:
    lines = gate_table([verdict(), verdict(file="a-much-longer-name.onnx", parity=(PARITY,))]).splitlines()
    assert len({line.index("onnxruntime") for line in lines[1:]}) == 1
    assert lines[0].index("engine") == lines[1].index("onnxruntime")


def test_document_has_the_manifest_entry_of_refused_artefacts_too() -> None:
    refused = verdict("label agreement 0.5")
    (entry,) = gate_document([refused])
    assert (entry.pop("verdict"), entry.pop("problems")) == ("refused", ["label agreement 0.5"])
    assert Artefact.model_validate(entry, strict=False) == refused.artefact
