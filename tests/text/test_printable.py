from __future__ import annotations

import pytest

from cxreport.text.printable import printable

MARKS = "\x00\x07\b\t\n\r\x1b\x7f\x85\x9b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800"


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: f"U+{ord(mark):04X}")
def test_nothing_controls_a_terminal(mark: str) -> None:
    assert printable(f"a{mark}b") == "a?b"


@pytest.mark.parametrize("text", ["", "Größe 中文 é.png", "a b"])
def test_other_text_stays(text: str) -> None:
    assert printable(text) == text
