"""A small model server for tests: Open Inference Protocol v2 over ONNX, with metrics and faults on demand."""

import os

# Before anything imports onnxruntime, which decides once: newer packages report usage unless it is set not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
