"""Weights of an ONNX graph, looked over without loading it: files that they come from, and whether they are finite.

ONNX Runtime reads files of weights from the working folder where a graph comes as bytes, whatever lies there, and
computes with what is infinite or no number. So the graph is walked along the messages that tensors can be in
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); what else it holds is skipped unread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TENSOR, _SPARSE, _GRAPH, _NODE = "tensor", "sparse", "graph", "node"
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: _GRAPH, 20: "training", 25: "function"},
    "training": {1: _GRAPH, 2: _GRAPH},
    "function": {7: _NODE, 11: "attribute"},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: "attribute"},
    "attribute": {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
"""Message -> fields that may hold tensors, by number, and what each is."""
_TYPE, _FLOATS, _INT32S, _RAW, _DOUBLES, _FILE = 2, 4, 5, 9, 10, 13
"""Fields of a tensor: its type, its elements in one of four ways, and entries that say where in a file they are."""


class _Fractions(NamedTuple):
    """Type of a tensor whose elements have fractions (IEEE 754, or the upper half of its 32 bits)."""

    bits: str
    """NumPy's type of the elements' bit patterns."""
    infinity: int
    """Bit pattern of infinity without its sign; those beyond it are NaN."""
    listed: int
    """Field that has the elements, where they are not raw."""

    @property
    def negative_infinity(self) -> int:
        """Bit pattern of infinity with its sign."""
        return self.infinity | 1 << 8 * np.dtype(self.bits).itemsize - 1


_FRACTIONS = {
    1: _Fractions("<u4", 0x7F80_0000, _FLOATS),
    10: _Fractions("<u2", 0x7C00, _INT32S),
    11: _Fractions("<u8", 0x7FF0_0000_0000_0000, _DOUBLES),
    16: _Fractions("<u2", 0x7F80, _INT32S),
}
"""float32, float16, float64 and bfloat16, by their numbers in ONNX."""
_LONGEST_VARINT = 3
"""Bytes of a 16-bit number."""
_COPIED = 1 << 18
"""Bytes of a tensor that are looked at together: NumPy wants them aligned, and a copy costs little in the cache."""
_MOST_DEPTH = 64


@dataclass
class _Tensor:
    """Fields of a tensor's message; each of the elements' may come in parts."""

    type: int = 0
    parts: dict[int, list[memoryview]] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)


def external_files(graph: bytes) -> set[str]:
    """Names of the files that a graph's tensors are in, as the graph has them.

    Raises:
        ValueError: no ONNX graph, or one nested without end.
    """
    return {location for tensor in _tensors(memoryview(graph), "model", 0) for location in tensor.locations}


def are_finite(graph: bytes) -> bool:
    """True if no element of a graph's tensors is NaN or infinite. A single negative infinity passes: graphs mask so.

    Raises:
        ValueError: no ONNX graph, or one nested without end.
    """
    return all(_is_finite(tensor) for tensor in _tensors(memoryview(graph), "model", 0))


def _is_finite(tensor: _Tensor) -> bool:
    """False if an element of a tensor is NaN, or infinite but no mask; one in a file is told with the file."""
    kind = _FRACTIONS.get(tensor.type)
    if kind is None:
        return True
    length, beyond = 0, False
    for patterns in _patterns(tensor, kind):
        length += len(patterns)
        if (patterns << 1).max(initial=0) >= kind.infinity << 1:
            if len(patterns) > 1 or patterns[0] != kind.negative_infinity:
                return False
            beyond = True
    return not beyond or length == 1


def _patterns(tensor: _Tensor, kind: _Fractions) -> Iterator[NDArray[Any]]:
    """Bit patterns of a tensor's elements, a few at a time."""
    for number in (_RAW, kind.listed):
        for part in tensor.parts.get(number, []):
            if number == _INT32S:
                yield _unpacked(part)
                continue
            for start in range(0, len(part), _COPIED):
                yield np.frombuffer(bytes(part[start : start + _COPIED]), kind.bits)


def _packed(pattern: int) -> bytes:
    """A number of 16 bits as `_unpacked` takes it."""
    return bytes([pattern & 0x7F | 0x80, pattern >> 7 & 0x7F | 0x80, pattern >> 14 & 3])


def _unpacked(part: memoryview) -> NDArray[np.uint16]:
    """16-bit patterns of a packed field of numbers, of 7 bits a byte."""
    content = np.frombuffer(part, np.uint8)
    ends = np.flatnonzero(content < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(int) if len(ends) else ends
    patterns = np.zeros(len(ends), np.uint32)
    for place in range(_LONGEST_VARINT):
        within = starts + place <= ends
        patterns[within] |= (content[starts[within] + place] & 0x7F).astype(np.uint32) << 7 * place
    return patterns.astype(np.uint16)


def _tensors(content: memoryview, message: str, depth: int) -> Iterator[_Tensor]:
    """Tensors in a message and in those that it holds."""
    if depth > _MOST_DEPTH:
        raise ValueError("the graph is nested without end")
    for number, value in _fields(content):
        part = _MESSAGES[message].get(number)
        if isinstance(value, int) or part is None:
            continue
        if part == _TENSOR:
            yield _tensor(value)
        else:
            yield from _tensors(value, part, depth + 1)


def _tensor(content: memoryview) -> _Tensor:
    tensor = _Tensor()
    for number, value in _fields(content):
        if number == _INT32S and isinstance(value, int):
            tensor.parts.setdefault(number, []).append(memoryview(_packed(value)))
        elif isinstance(value, int):
            tensor.type = value if number == _TYPE else tensor.type
        elif number == _FILE:
            entry = {key: text for key, text in _fields(value) if not isinstance(text, int)}
            if bytes(entry.get(1, b"")) == b"location":
                tensor.locations.append(bytes(entry.get(2, b"")).decode("utf-8", "replace"))
        else:
            tensor.parts.setdefault(number, []).append(value)
    return tensor


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Numbers and contents of the fields of a message (protobuf wire format)."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(content, place)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, place = _varint(content, place)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("this is no graph")
        if place + length > len(content):
            raise ValueError("the graph is truncated")
        yield tag >> 3, content[place : place + length]
        place += length


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the least first, and the place behind it."""
    value = shift = 0
    while place < len(content) and shift < 70:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("the graph is truncated")
