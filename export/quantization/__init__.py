"""Integers for a network, chosen and judged on unlabelled target frames."""

from runtime.backends.packages import switch_off_telemetry

# Here, because the modules of this folder import ONNX Runtime when they are imported.
switch_off_telemetry()
