"""TensorRT 10 and 11 and TensorRT-RTX: which library loads an engine, and how it runs on the GPU without torch."""
