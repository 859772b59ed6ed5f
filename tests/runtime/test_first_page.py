"""The three lines on README.md run as they stand there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_three_lines_give_labels(
    bundle: Path, striped_frame: NDArray[np.uint8], striped_labels: NDArray[np.uint8]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"frame": striped_frame}
    exec(compile(code.replace("runs/streets/bundle", str(bundle)), "README.md", "exec"), names)
    np.testing.assert_array_equal(names["result"].labels, striped_labels)
