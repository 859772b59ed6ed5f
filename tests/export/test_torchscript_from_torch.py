import json
import warnings

import torch

from export.config import ExportConfig


def test_loads_without_this_project_and_says_what_it_is(exported: ExportConfig) -> None:
    extra = {"iapc.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(exported.bundle / "fp32.torchscript", _extra_files=extra)  # type: ignore[no-untyped-call]
    facts = json.loads(extra["iapc.json"])
    assert (facts["frame_hw"], facts["input"]) == ("64x96", "rgb_imagenet")
    with torch.inference_mode():
        labels, confidence = module(torch.zeros((1, 64, 96, 3), dtype=torch.uint8))
    assert (labels.shape, labels.dtype) == ((1, 64, 96), torch.uint8)
    assert (confidence.shape, confidence.dtype) == ((1, 64, 96), torch.uint8)
    # Frozen: no parameter is left that could be changed, and dropout or batch norm have no mode.
    assert list(module.parameters()) == []
