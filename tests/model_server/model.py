"""The ONNX model: finding the file, loading it, running it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FILE_NAME = "model.onnx"
# Open Inference Protocol v2 name, element type of ONNX, element type of NumPy.
TENSOR_TYPES = (
    ("BOOL", "tensor(bool)", np.dtype(np.bool_)),
    ("INT32", "tensor(int32)", np.dtype(np.int32)),
    ("INT64", "tensor(int64)", np.dtype(np.int64)),
    ("FP32", "tensor(float)", np.dtype(np.float32)),
    ("FP64", "tensor(double)", np.dtype(np.float64)),
)
DATATYPE_OF_ONNX = {onnx: datatype for datatype, onnx, _ in TENSOR_TYPES}
DTYPE_OF_DATATYPE = {datatype: dtype for datatype, _, dtype in TENSOR_TYPES}
DATATYPE_OF_DTYPE = {dtype: datatype for datatype, _, dtype in TENSOR_TYPES}


class ModelError(RuntimeError):
    """The model cannot be loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """An input or output: -1 in `shape` stands for any length, as in the protocol."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Model:
    """A loaded ONNX model with its version: the one asked for, or the folder it was found in."""

    def __init__(self, content: bytes, version: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # several servers share two cores in tests
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its C++ binding that share no public base
            raise ModelError(str(error).replace("\n", " ")) from error
        self.version = version
        self.inputs = tuple(_info(node) for node in self._session.get_inputs())
        self.outputs = tuple(_info(node) for node in self._session.get_outputs())

    def infer(self, inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Every output by name."""
        names = [info.name for info in self.outputs]
        return dict(zip(names, self._session.run(names, inputs), strict=True))


def _info(node: Any) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorInfo(name=node.name, datatype=DATATYPE_OF_ONNX[node.type], shape=shape)


def load(path: Path, version: str, *, corrupt: bool = False) -> Model:
    """The model at `path`; with `corrupt`, of half the file. Raises ModelError."""
    file = find(path, version)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: {error.strerror}") from error
    return Model(content[: len(content) // 2] if corrupt else content, version or file.parent.name)


def find(path: Path, version: str) -> Path:
    """The file itself, or below a folder: model.onnx, <version>/model.onnx, else the highest version's.

    Raises ModelError; a version that was asked for is never replaced by another.
    """
    if path.is_file():
        return path
    if (path / FILE_NAME).is_file():
        return path / FILE_NAME
    numbered = [found for found in path.glob(f"*/{FILE_NAME}") if found.parent.name.isdecimal()]
    if version:
        numbered = [path / version / FILE_NAME] if (path / version / FILE_NAME).is_file() else []
    if not numbered:
        raise ModelError(f"no {FILE_NAME} at {path}{f' in version {version!r}' if version else ''}")
    return max(numbered, key=lambda found: int(found.parent.name) if found.parent.name.isdecimal() else 0)


def scores(outputs: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any] | None:
    """A view on the scores (0-1) of the first real-valued output: of a classifier, the last class's."""
    for values in outputs.values():
        if np.issubdtype(values.dtype, np.floating):
            return values[..., -1] if values.ndim > 1 else values
    return None


def shift_scores(outputs: dict[str, np.ndarray[Any, Any]], shift: float) -> None:
    """Moves the scores in place, within 0-1; the other class of two keeps the sum at 1."""
    moved = scores(outputs)
    if moved is None:
        return
    moved[...] = np.clip(moved + shift, 0, 1)
    for values in outputs.values():
        if np.issubdtype(values.dtype, np.floating) and values.ndim > 1 and values.shape[-1] == 2:
            values[..., 0] = 1 - values[..., 1]
