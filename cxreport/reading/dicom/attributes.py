"""Attributes of a DICOM header, read tolerantly: a value that pydicom cannot convert counts as absent."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.tag import BaseTag, Tag

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def numbers(header: Dataset, keyword: str | int) -> list[float]:
    """The finite numbers of an attribute, by keyword or tag; empty when it is absent or unusable.

    A comma in a decimal string can only be meant as its point (PS3.5 6.2).
    """
    try:
        values = [_number(item) for item in _items(_value(header, keyword))]
    except (TypeError, ValueError):
        return []
    return values if all(map(math.isfinite, values)) else []


def integer(header: Dataset, keyword: str | int) -> int | None:
    """The first number of an attribute as an integer, or None."""
    return next((int(number) for number in numbers(header, keyword)), None)


def text(header: Dataset, keyword: str) -> str:
    """The values of an attribute in one line, without padding; empty when absent."""
    return " ".join(str(item).strip(" \0") for item in _items(_value(header, keyword)))


def texts(header: Dataset, keyword: str) -> list[str]:
    """The values of an attribute in capitals, without padding."""
    return [str(item).strip(" \0").upper() for item in _items(_value(header, keyword))]


def sequence(header: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence attribute; none when absent or not a sequence."""
    value = _value(header, keyword)
    return [item for item in _items(value) if hasattr(item, "original_encoding")]


_UID = re.compile(r"[0-2](?:\.\d+)+")


def is_uid(value: str) -> bool:
    """True for what can be a UID (PS3.5 9): not empty, not a word, not "0", "1" or "0.0" in the place of one."""
    return _UID.fullmatch(value) is not None and value.strip("0.") != ""


def digest(identifier: str) -> str:
    """A stable pseudonym of an identifier, in hexadecimal."""
    return sha256(identifier.encode()).hexdigest()


def stored(header: Dataset, keyword: str) -> str:
    """The bytes of a text as they stand in the file, a character each, without padding: to compare, not to show."""
    try:
        value = header.get_item(_tag(keyword)).value
    except Exception:  # absent
        return ""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \0")


def content(header: Dataset, tag: int) -> bytes:
    """The bytes of an attribute, words in little endian; empty when it has none."""
    value = _value(header, tag)
    if not isinstance(value, bytes):
        return b""
    words = header.original_encoding[1] is False and header[tag].VR == "OW" and len(value) % 2 == 0
    return np.frombuffer(value, ">u2").astype("<u2").tobytes() if words else value


@functools.cache
def _tag(key: str | int) -> BaseTag:
    return Tag(key)


def _value(header: Dataset, key: str | int) -> Any:
    try:
        return header[_tag(key)].value
    except Exception:  # absent; or pydicom converts on access, and a bad value raises whatever its converter raises
        return None


def _number(item: Any) -> float:
    """A number; pydicom leaves a decimal string that it cannot convert as it is."""
    return float(item.replace(",", ".") if isinstance(item, str) else item)


def _items(value: Any) -> Iterable[Any]:
    if value is None or value == "":
        return ()
    if isinstance(value, str | bytes) or not isinstance(value, Iterable) or hasattr(value, "components"):
        return (value,)
    return tuple(value)
