"""The method on CONTRIBUTING.md, as a newcomer writes it from there."""

import re
import textwrap
from pathlib import Path
from typing import Any

import torch

from training.methods.method import Setting
from training.views.batch import TargetBatch

PAGE = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_it_has_the_terms_that_the_page_names(setting: Setting) -> None:
    (code,) = re.findall(r"1\. `training/methods/confident\.py`\n\n +```python\n(.*?)\n +```", PAGE, re.DOTALL)
    (terms,) = re.findall(r'`"confident": (\{.*?\})` in `TERMS`', PAGE)
    names: dict[str, Any] = {"__name__": "training.methods.confident"}
    exec(compile(textwrap.dedent(code), "CONTRIBUTING.md", "exec"), names)
    method = names["Confident"](names["ConfidentConfig"](name="confident"), setting)
    crops = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros((2, 32, 48), dtype=torch.int64)
    batch = TargetBatch(["a", "b"], memory=None, weak=crops, student=crops, pseudo_labels=labels, importance=None)
    found = method.losses(batch)
    assert set(found) == set(re.findall(r'"(\w+)"', terms))
    assert all(torch.isfinite(term) for term in found.values())
