"""Files that an ONNX graph takes weights from, told without loading it.

ONNX Runtime reads them from the working folder where a graph comes as bytes, whatever lies there. So the graph is
walked along the messages that tensors can be in (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); what else it
holds is skipped unread.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    _TENSOR: {13: "entry"},
    "entry": {1: "key", 2: "value"},
}
"""Message -> fields that may hold tensors, by number, and what each is."""
_MOST_DEPTH = 64


def external_files(graph: bytes) -> set[str]:
    """Names of the files that a graph's tensors are in, as the graph has them.

    Raises:
        ValueError: no ONNX graph, or one nested without end.
    """
    return set(_locations(memoryview(graph), "model", 0))


def _locations(content: memoryview, message: str, depth: int) -> Iterator[str]:
    """Locations in a message and in those that it holds."""
    if depth > _MOST_DEPTH:
        raise ValueError("the graph is nested without end")
    entry: dict[str, bytes] = {}
    for number, value in _fields(content):
        part = _MESSAGES[message].get(number)
        if part in ("key", "value"):
            entry[part] = bytes(value)
        elif part is not None:
            yield from _locations(value, part, depth + 1)
    if entry.get("key") == b"location":
        yield entry.get("value", b"").decode("utf-8", "replace")


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Numbers and contents of the fields of a message that have a length (protobuf wire format)."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == _VARINT:
            _, place = _varint(content, place)
        elif kind == _BYTES:
            length, place = _varint(content, place)
            if place + length > len(content):
                raise ValueError("the graph is truncated")
            yield tag >> 3, content[place : place + length]
            place += length
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("this is no graph")


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
