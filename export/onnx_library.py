"""The onnx package, which only export needs, with one error that says how to get it."""

from typing import Any

from runtime.errors import BackendError

__all__ = ["import_onnx"]


def import_onnx() -> Any:
    """The package.

    Raises:
        BackendError: it, or what the exporter needs beside it, cannot be imported.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  the exporter's own dependency, which it reports less clearly
    except ImportError as error:
        raise BackendError(
            f"ONNX export needs onnx and onnxscript, which cannot be imported ({error}); install them with "
            "`pip install 'iapc[export]'`"
        ) from error
    return onnx
