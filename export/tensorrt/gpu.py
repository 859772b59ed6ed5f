"""Whether the exporting machine can run the engine it has built."""

import torch

from runtime.backends.tensorrt.gpu import is_for_gpu
from runtime.bundle.manifest import EngineInfo

__all__ = ["why_not_run"]


def why_not_run(info: EngineInfo) -> str | None:
    """Why an engine cannot be run on this machine; None where it can."""
    if not torch.cuda.is_available():
        return "no CUDA device on the exporting machine"
    major, minor = torch.cuda.get_device_capability()
    if is_for_gpu(info, (major, minor)):
        return None
    return f"the exporting machine's GPU is of compute capability {major}.{minor}"
