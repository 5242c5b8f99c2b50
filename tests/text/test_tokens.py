"""Texts to word ids."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.errors import UsageError
from cxreport.text.tokens import has_known_word, text_ids
from cxreport.train.data.targets import tokenise

VOCABULARY = ("<pad>", "<end>", "<unk>", ",", "no", "pleural", "effusion", "pneumothorax")


def test_words_become_ids_and_unknown_ones_are_marked() -> None:
    ids = text_ids(VOCABULARY, ["No Effusion.", "pleural, PLEURAL xyz effusion"])
    assert ids.dtype == np.int64
    assert ids.tolist() == [[4, 6, 0, 0, 0], [5, 3, 5, 2, 6]]


def test_long_texts_are_cut() -> None:
    assert text_ids(VOCABULARY, ["no " * 500]).shape == (1, 128)
    assert text_ids(VOCABULARY, ["no no no"], max_words=2).tolist() == [[4, 4]]


def test_training_reads_text_with_the_same_code() -> None:
    assert tokenise.__module__ == "cxreport.text.tokens"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("effusions", "look alike: effusion."),
        ("qqq", "pleural, effusion, pneumothorax"),
        ("", "such as"),
        (",", "such"),
    ],
)
def test_a_text_without_a_known_word_names_some(text: str, hint: str) -> None:
    assert not has_known_word(VOCABULARY, text)
    with pytest.raises(UsageError) as caught:
        text_ids(VOCABULARY, ["no effusion", text])
    assert hint in caught.value.hint
