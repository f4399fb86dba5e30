"""Tensors of the Open Inference Protocol v2: JSON to NumPy and back."""

from typing import Any

import numpy as np

from model_server.model import DATATYPE_OF_DTYPE, DTYPE_OF_DATATYPE, TensorInfo


class RequestError(ValueError):
    """The request is at fault (400); the message says how."""


def decode(body: Any, expected: tuple[TensorInfo, ...]) -> dict[str, np.ndarray[Any, Any]]:
    """The model's inputs by name. Raises RequestError."""
    given = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(given, list) or not all(isinstance(tensor, dict) for tensor in given):
        raise RequestError('the request must be an object with a list "inputs" of tensors')
    by_name = {tensor.get("name"): tensor for tensor in given}
    names = {info.name for info in expected}
    if by_name.keys() != names:
        raise RequestError(f"inputs must be {sorted(names)}, not {sorted(map(str, by_name))}")
    return {info.name: _decode_tensor(by_name[info.name], info) for info in expected}


def _decode_tensor(tensor: dict[str, Any], info: TensorInfo) -> np.ndarray[Any, Any]:
    if tensor.get("datatype") != info.datatype:
        raise RequestError(
            f"input {info.name!r}: datatype must be {info.datatype}, not {tensor.get('datatype')!r}"
        )
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise RequestError(f"input {info.name!r}: shape must be a list of lengths, not {shape!r}")
    fits = len(shape) == len(info.shape) and all(
        want in (-1, size) for want, size in zip(info.shape, shape, strict=True)
    )
    if not fits:
        raise RequestError(f"input {info.name!r}: shape must be {list(info.shape)}, not {shape}")
    try:
        return np.asarray(tensor.get("data"), dtype=DTYPE_OF_DATATYPE[info.datatype]).reshape(shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"input {info.name!r}: data does not fill shape {shape}: {error}") from error


def encode(outputs: dict[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """Tensors as JSON values, their data flat in row-major order."""
    return [
        {
            "name": name,
            "datatype": DATATYPE_OF_DTYPE[values.dtype],
            "shape": list(values.shape),
            "data": values.ravel().tolist(),
        }
        for name, values in outputs.items()
    ]
