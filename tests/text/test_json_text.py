"""JSON that strict parsers read, whatever bytes a file name has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cxreport.text.json_lines import json_text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"caf\xe9.png", r"caf\xe9.png"),
        ("café \N{CAT FACE}.png".encode(), "café \N{CAT FACE}.png"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\N{CAT FACE}\xe9".encode() + b"\xe9", "\N{CAT FACE}\xe9" + r"\xe9"),
    ],
)
def test_names_of_any_bytes(name: bytes, written: str) -> None:
    text = name.decode("utf-8", "surrogateescape")
    value: dict[str, Any] = {text: [{"path": text}, (text, 1, None)]}
    line = json_text(value)
    assert line.isascii()
    assert json.loads(line) == {written: [{"path": written}, [written, 1, None]]}
    json.loads(line)[written][0]["path"].encode()  # no lone surrogate is left


def test_what_is_no_byte_of_a_name_is_escaped_too() -> None:
    assert json.loads(json_text({"id": "\ud800"}, indent=1)) == {"id": r"\xed\xa0\x80"}


def test_numbers_are_finite() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        json_text([float("nan")])
