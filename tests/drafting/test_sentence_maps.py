from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_drafts import made_plan

from cxreport.drafting.report import write_report
from cxreport.drafting.sentence_maps import word_sources
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.sentences import Sentence, SentenceMap
from cxreport.text.detokenise import sentence_text
from cxreport.text.vocabulary import SPECIAL_WORDS
from cxreport.types import Decoding, Draft, Encoding, Plan, Section, SentenceIds, Study

STUDY = Study("id", ("a.png",), None)
SEEN = Encoding({}, np.zeros((4, 12), np.float32), None)
PNEUMOTHORAX = 4
SAME = {"are": "is", "an": "a"}
WORDS = [
    *("there", "is", "are", "a", "an", "the", "no", "of", "in", "and", "or", "with", "enlarged", "left", "right"),
    *("heart", "lungs", "opacity", "opacities", "nodule", "atelectasis", "interstitial", "airspace", "disease"),
    *("1", "5", "20", "cm", "t12", "copd", "picc", "patient", "'s", "x-ray", ",", ".", ";", ":", "%", "(", ")", "-"),
    *("/", "?"),
]


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def one_hot(place: int, size: int = 4) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[place]


def sentence(
    manifest: Manifest, section: Section, text: str, place: int | None, planned: int | None = None, each: bool = False
) -> SentenceIds:
    """A sentence that looks at one patch; with ``each``, its word n looks at patch n, counted from 0 over and over."""
    ids = tuple(manifest.vocabulary.index(word) for word in text.split())
    words = np.stack([one_hot(n % 4) for n in range(len(ids))]) if each else None
    return SentenceIds(section, ids, planned, None if place is None else one_hot(place), -1.0, words)


def maps(manifest: Manifest, planned: Plan, *sentences: SentenceIds) -> list[tuple[Sentence, SentenceMap]]:
    draft = Draft(STUDY, SEEN, plan=planned, decoding=Decoding(sentences))
    report = write_report(manifest, draft, maps=True)
    pairs = [(s, s.map) for s in report.sentences if s.map is not None]
    assert len(pairs) == len(report.sentences)
    for written, look in pairs:
        assert " ".join(word.word for word in look.words) == written.text
        for weights in (look.weights, *(word.weights for word in look.words)):
            assert weights.shape == (2, 2)
            assert weights.sum() == pytest.approx(1)
    unmapped = tuple(replace(s, map=None) for s in report.sentences)
    assert write_report(manifest, draft) == replace(report, sentences=unmapped)
    return pairs


def places(weights: np.ndarray) -> list[int]:
    return [int(place) for place in np.flatnonzero(weights)]


# Words


@pytest.mark.parametrize(
    ("decoded", "sources"),
    [
        ("the lungs are clear", {"The": "the", "clear.": "clear"}),
        ("heart , lungs", {"Heart,": "heart", "lungs.": "lungs"}),
        ("a nodule of 1 . 5 cm", {"1.5": "1 5", "cm.": "cm"}),
        ("about 20 % of it", {"20%": "20"}),
        ("no consolidation / effusion", {"consolidation/effusion.": "consolidation effusion"}),
        ("fracture of t12 ; copd", {"T12;": "t12", "COPD.": "copd"}),
        ("the patient 's picc", {"patient's": "patient 's", "PICC.": "picc"}),
        ("a opacity is a nodule", {"An": "a", "opacity": "opacity", "nodule.": "nodule"}),
        ("there is a interstitial opacities", {"are": "is", "interstitial": "interstitial", "opacities.": "opacities"}),
        ("there are a nodular opacity", {"is": "are", "a": "a", "opacity.": "opacity"}),
        ("there is an atelectasis", {"atelectasis.": "atelectasis"}),
        ("x-ray & ct", {"X-ray": "x-ray", "&": "&", "CT.": "ct"}),
    ],
)
def test_words_find_what_they_were_written_from(decoded: str, sources: dict[str, str]) -> None:
    words = decoded.split()
    text = sentence_text(words, range(len(words))).split()
    indices = dict(zip(text, word_sources(words, text), strict=True))
    assert {word: " ".join(words[place] for place in indices[word]) for word in sources} == sources


def test_a_word_without_a_counterpart() -> None:
    assert word_sources(["the", "heart"], ["The", "new", "heart."]) == [(0,), (), (1,)]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=20))
def test_any_words_are_found_in_order(words: list[str]) -> None:
    """Whatever is decoded, a word of the text leads to the decoded words that it is made of, and never back."""
    vocabulary = (*SPECIAL_WORDS, *WORDS)
    text_words = sentence_text(vocabulary, [vocabulary.index(word) for word in words]).split()
    sources = word_sources(words, text_words)
    assert len(sources) == len(text_words)
    flat = [place for indices in sources for place in indices]
    assert flat == sorted(flat)
    for text, indices in zip(text_words, sources, strict=True):
        pieces = [SAME.get(piece, piece) for piece in re.findall(r"[a-z0-9]+", text.lower())]
        decoded = [SAME.get(piece, piece) for place in indices for piece in re.findall(r"[a-z0-9]+", words[place])]
        assert not pieces or pieces == decoded


# Sentences


def test_words_have_the_maps_of_their_ids(manifest) -> None:
    ((_, sentence_map),) = maps(
        manifest,
        made_plan(manifest, 0),
        sentence(manifest, Section.FINDINGS, "there is a pleural effusion", 3, 0, True),
    )
    assert places(sentence_map.weights) == [3]
    assert [places(word.weights) for word in sentence_map.words] == [[0], [1], [2], [3], [0]]


def test_without_maps_of_words_they_have_the_sentences(manifest) -> None:
    ((_, sentence_map),) = maps(
        manifest, made_plan(manifest, 0), sentence(manifest, Section.FINDINGS, "there is a pleural effusion", 3, 0)
    )
    assert {tuple(places(word.weights)) for word in sentence_map.words} == {(3,)}


def test_rows_come_first(manifest) -> None:
    ((_, sentence_map),) = maps(
        manifest, made_plan(manifest), sentence(manifest, Section.FINDINGS, "no pneumothorax", 1)
    )
    np.testing.assert_array_equal(sentence_map.weights, [[0, 1], [0, 0]])


def test_maps_follow_their_sentences_to_their_places(manifest) -> None:
    """Sentences are put in the order of their tags' places, and one is left out."""
    sentences = [
        sentence(manifest, Section.FINDINGS, "the visualized bony structures are intact", 0),
        sentence(manifest, Section.FINDINGS, "there is a pneumothorax", 1, PNEUMOTHORAX),
        sentence(manifest, Section.FINDINGS, "the heart is enlarged", 2),
        sentence(manifest, Section.IMPRESSION, "pneumothorax is present", 3, PNEUMOTHORAX),
    ]
    patches = {s.text: places(m.weights) for s, m in maps(manifest, made_plan(manifest, PNEUMOTHORAX), *sentences)}
    assert patches == {
        "The visualized bony structures are intact.": [0],
        "There is a pneumothorax.": [1],
        "Pneumothorax is present.": [3],
    }


def test_a_plain_sentence_has_the_map_of_its_topic(manifest) -> None:
    """Topics whose sentences do not state their tag: each section takes its own, not the other's."""
    sentences = [
        sentence(manifest, Section.FINDINGS, "the visualized bony structures are intact", 1, PNEUMOTHORAX, True),
        sentence(manifest, Section.IMPRESSION, "no acute cardiopulmonary disease", 2, PNEUMOTHORAX, True),
    ]
    result = maps(manifest, made_plan(manifest, PNEUMOTHORAX), *sentences)
    assert [(s.section, s.text, places(m.weights)) for s, m in result] == [
        (Section.FINDINGS, "There is a pneumothorax.", [1]),
        (Section.IMPRESSION, "There is a pneumothorax.", [2]),
    ]
    assert [{tuple(places(word.weights)) for word in m.words} for _, m in result] == [{(1,)}, {(2,)}]


def test_a_plain_sentence_falls_back_on_the_other_section_and_then_on_all(manifest) -> None:
    intact = "the visualized bony structures are intact"
    findings = sentence(manifest, Section.FINDINGS, intact, 1, PNEUMOTHORAX)
    impression = sentence(manifest, Section.IMPRESSION, "no pneumothorax", 2)
    result = maps(manifest, made_plan(manifest, PNEUMOTHORAX), findings, impression)
    assert [places(m.weights) for _, m in result] == [[1], [1]]
    result = maps(manifest, made_plan(manifest, PNEUMOTHORAX), sentence(manifest, Section.FINDINGS, intact, 1))
    assert {s.text: places(m.weights) for s, m in result} == {
        "There is a pneumothorax.": [0, 1, 2, 3],
        "The visualized bony structures are intact.": [1],
    }


def test_without_attention_there_are_no_maps(manifest) -> None:
    blind = Decoding((sentence(manifest, Section.FINDINGS, "no pneumothorax", None),))
    for decoding in (blind, Decoding(())):
        report = write_report(manifest, Draft(STUDY, SEEN, plan=made_plan(manifest), decoding=decoding), maps=True)
        assert [s.map for s in report.sentences] == [None] * len(decoding.sentences)
