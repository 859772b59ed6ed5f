"""TensorRT 10 and 11 and TensorRT-RTX: one strongly-typed path from ONNX to an engine, which the runtime runs."""
