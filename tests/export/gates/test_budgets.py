from typing import Any

import pytest

from export.config import Budgets
from export.gates.budgets import STRAY_PIXELS, problems
from runtime.bundle.manifest import Artefact, ClassParity, Parity, Quantization

FRAME_HW = (100, 200)
WEIGHT_BYTES = 10_000_000


def parity(**values: Any) -> Parity:
    defaults = {"engine": "onnxruntime", "num_frames": 10, "label_agreement": 1.0, "max_confidence_difference": 0}
    return Parity.model_validate({**defaults, **values})


def artefact(*parities: Parity, **values: Any) -> Artefact:
    defaults = {
        "file": "a.onnx",
        "sha256": "0" * 64,
        "num_bytes": 2_000_000,
        "format": "onnx",
        "precision": "fp32",
        "parity": parities,
        "not_run": None if parities else "no CUDA device",
    }
    return Artefact.model_validate({**defaults, **values})


def judged(*parities: Parity, budgets: Budgets | None = None, **values: Any) -> list[str]:
    return problems(artefact(*parities, **values), budgets or Budgets(), frame_hw=FRAME_HW, weight_bytes=WEIGHT_BYTES)


def int8(**values: Any) -> dict[str, Any]:
    quantization = Quantization(
        scheme="u8s8", range_method="minmax", calibration_sha256="0" * 64, num_calibration_frames=4
    )
    return {"precision": "int8", "quantization": quantization, **values}


def with_class(**values: Any) -> Parity:
    return parity(classes=(ClassParity.model_validate({"name": "pole", **values}),))


def test_artefact_at_every_limit_is_kept() -> None:
    at_limits = parity(
        label_agreement=0.9999,
        max_confidence_difference=2,
        logits_error=1e-3,
        miou=50.0,
        miou_change=-0.05,
        classes=(
            ClassParity(name="road", share=0.9, recall=0.999, iou_change=-0.2),
            ClassParity(name="pole", share=0.01, recall=0.998),
            ClassParity(name="train", share=0.0),
        ),
    )
    assert judged(at_limits) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"label_agreement": 0.99989}, "label agreement 0.999890, expected at least 0.9999 (KEY.min_label_agreement)"),
        (
            {"max_confidence_difference": 3},
            "confidence differs by 3 of 255 at some pixel, expected at most 2 (KEY.max_confidence_difference)",
        ),
        (
            {"logits_error": 0.00123},
            "logits error 0.00123 of their deviation, expected at most 0.001 (KEY.max_logits_error)",
        ),
        (
            {"miou": 49.0, "miou_change": -0.06},
            "mIoU changes by -0.06 points to 49.00, expected a loss of at most 0.05 (KEY.max_miou_drop)",
        ),
    ],
)
def test_each_limit_has_its_sentence(values: dict[str, Any], sentence: str) -> None:
    assert judged(parity(**values)) == [f"onnxruntime: {sentence.replace('KEY', 'export.budgets.fp32')}"]


def test_common_and_rare_classes_have_limits_of_their_own() -> None:
    # 10 frames of 100x200 pixels: 2 % are 4000 pixels, of which 8 are 0.2 %.
    assert judged(with_class(share=0.02, recall=0.998)) == [
        "onnxruntime: class 'pole' keeps 0.9980 of its pixels (8 lost), expected at least 0.999 "
        "(export.budgets.fp32.min_class_recall)"
    ]
    assert judged(with_class(share=0.0199, recall=0.998)) == []
    assert judged(with_class(share=0.0199, recall=0.997)) == [
        "onnxruntime: rare class 'pole' keeps 0.9970 of its pixels (12 lost), expected at least 0.998 "
        "(export.budgets.fp32.min_rare_recall)"
    ]


def test_few_stray_pixels_do_not_condemn_a_small_class() -> None:
    # 0.1 % of 200 000 pixels are 200.
    assert judged(with_class(share=0.001, recall=1 - STRAY_PIXELS / 200)) == []
    assert len(judged(with_class(share=0.001, recall=1 - (STRAY_PIXELS + 1) / 200))) == 1


def test_worst_class_is_named_and_the_others_counted() -> None:
    recalls = {"road": 0.9, "car": 0.8, "wall": 0.95, "sky": 1.0}
    classes = tuple(ClassParity(name=name, share=0.25, recall=recall) for name, recall in recalls.items())
    (problem,) = judged(parity(classes=classes))
    assert problem.startswith("onnxruntime: class 'car' keeps 0.8000 of its pixels (10000 lost)")
    assert problem.endswith("; 2 other classes are outside too")


def test_class_that_loses_iou_is_named() -> None:
    assert judged(with_class(share=0.1, recall=1.0, iou_change=-0.21)) == [
        "onnxruntime: IoU of class 'pole' changes by -0.21 points, expected a loss of at most 0.2 "
        "(export.budgets.fp32.max_class_iou_drop)"
    ]
    assert judged(with_class(share=0.1, recall=1.0, iou_change=5.0)) == []


def test_labels_that_differ_where_logits_agree_are_the_fault_of_what_follows() -> None:
    (problem,) = judged(parity(label_agreement=0.5, logits_error=1e-6))
    assert problem.endswith(
        "its logits agree, so what follows them differs: upsampling (align_corners), argmax, or another engine"
    )
    (problem,) = judged(parity(label_agreement=0.5, logits_error=5e-4))
    assert "upsampling" not in problem


def test_every_engine_is_judged() -> None:
    found = judged(parity(), parity(engine="openvino", label_agreement=0.9))
    assert [problem.split(":")[0] for problem in found] == ["openvino"]


def test_budget_is_that_of_the_precision() -> None:
    rounded = parity(label_agreement=0.995, max_confidence_difference=40, logits_error=0.02)
    assert [problem.split(",")[0] for problem in judged(rounded, precision="fp16", low_precision_share=1.0)] == [
        "onnxruntime: label agreement 0.995000",
        "onnxruntime: logits error 0.02 of their deviation",
    ]
    assert judged(rounded, precision="bf16", low_precision_share=1.0) == []
    assert judged(rounded, **int8(low_precision_share=0.9)) == []
    loose = Budgets.model_validate({"fp16": {"min_label_agreement": 0.9, "max_logits_error": 0.1}})
    assert judged(rounded, precision="fp16", low_precision_share=1.0, budgets=loose) == []


@pytest.mark.parametrize("share", [None, 0.0, 0.98])
def test_precision_by_name_only_is_refused_even_where_it_was_not_run(share: float | None) -> None:
    (problem,) = judged(precision="fp16", low_precision_share=share)
    assert "of its multiply-accumulates are in fp16, expected at least 99%" in problem
    assert judged(precision="fp16", low_precision_share=0.99) == []


def test_engine_that_is_too_large_kept_wider_weights() -> None:
    engine: dict[str, Any] = {"file": "fp16.engine", "format": "tensorrt", "precision": "fp16"}
    assert judged(**engine, num_bytes=7_400_000) == []
    assert judged(**engine, num_bytes=7_600_000) == [
        "it takes 7.6 MB, 76% of the weights in float32, expected less than 75% in fp16; the engine kept wider weights"
    ]
    (problem,) = judged(**int8(file="int8.engine", format="tensorrt", num_bytes=5_100_000))
    assert "expected less than 50% in int8" in problem
    assert judged(file="fp32.engine", format="tensorrt", num_bytes=20_000_000) == []
