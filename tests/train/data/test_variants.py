"""Plainer forms of sentences."""

import pytest

from cxreport.text import lexicon
from cxreport.train.data.variants import plainer


@pytest.mark.parametrize(
    ("sentence", "plainest", "forms"),
    [
        ("there is a small left upper lobe nodule", "there is a nodule", 5),
        ("an enlarging left effusion", "an enlarging effusion", 1),
        ("patchy opacity in the right lower lobe", "patchy opacity", 2),
        ("bibasilar atelectasis is seen", "atelectasis is seen", 2),
        ("mild to moderate cardiomegaly", "mild to moderate cardiomegaly", 0),
        ("the left and right lungs are clear", "the left and right lungs are clear", 0),
        ("the heart is normal", "the heart is normal", 0),
    ],
)
def test_plainer_forms(sentence, plainest, forms):
    found = {" ".join(words): details for words, details in plainer(tuple(sentence.split()))}
    assert len(found) == forms
    assert min([sentence, *found], key=len) == plainest
    for words, left in found.items():
        assert left == lexicon.packaged().details(words) < lexicon.packaged().details(sentence)
