"""Words of captions, with Java and without."""

from __future__ import annotations

import shutil

import pytest
from captions import needs_java

from cxreport.evaluate.text.tokens import CaptionTokenizer


@pytest.mark.slow
@needs_java
def test_words_are_those_of_the_coco_evaluation() -> None:
    pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    texts = ["A man's cat, (really) isn't \"here\" - well-known; $5 café...", "Two\ndogs!", "two dogs"]
    expected = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})
    tokenize = CaptionTokenizer()
    assert tokenize(texts) == [expected[i][0] for i in range(3)]
    assert tokenize(["", "..."]) == ["<unk>", "<unk>"]
    assert "PTBTokenizer" in tokenize.signature


def test_words_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    tokenize = CaptionTokenizer()
    assert tokenize(["A man's cat, 5!", ""]) == ["a man s cat", "<unk>"]
    assert "alphabetic_words" in tokenize.signature
