from __future__ import annotations

from collections.abc import Iterator

import pytest

from cxreport.text.json_lines import JsonLine, json_lines

DEEP = b"[" * 100_000


def test_damaged_lines_fail_alone() -> None:
    lines = [b'{"id": 1}\n', b"\n", b'{"id": \n', b"[1]\n", b"\xff\n", DEEP, b' {"id": "\xc3\xa9"} \r\n']
    assert list(json_lines(lines)) == [
        JsonLine(1, {"id": 1}),
        *(JsonLine(number, None) for number in (3, 4, 5, 6)),
        JsonLine(7, {"id": "é"}),
    ]


@pytest.mark.parametrize("line", ['{"id": 1}', b'{"id": 1}', b'\xef\xbb\xbf{"id": 1}'], ids=["text", "bytes", "mark"])
def test_text_and_bytes(line: str | bytes) -> None:
    assert list(json_lines([line])) == [JsonLine(1, {"id": 1})]


def test_a_line_is_read_when_it_is_asked_for() -> None:
    def stream() -> Iterator[str]:
        yield "{}"
        raise AssertionError("read ahead")

    assert next(json_lines(stream())) == JsonLine(1, {})
