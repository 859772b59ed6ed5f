"""Serves an exported bundle on a vehicle: numpy, pydantic and one inference engine, never torch."""

import os

# ONNX Runtime's official builds write what is loaded, and by whom, into a database of their own, and send it to
# Microsoft. Read when it is imported; whoever wants that sets 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
