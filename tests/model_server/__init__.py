"""A small model server for tests: Open Inference Protocol v2 over ONNX, with metrics and faults on demand."""
