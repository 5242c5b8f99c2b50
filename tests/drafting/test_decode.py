from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_drafts import clouds, made_plan

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.plan import make_plan
from cxreport.errors import UsageError
from cxreport.model.bundle import load_manifest
from cxreport.model.encode import encode
from cxreport.model.graphs import StudyInput, TopicInput
from cxreport.model.manifest import DecodingDefaults, Manifest
from cxreport.model.session import Model, SentenceOutput, WordOutput
from cxreport.text.vocabulary import END, NO_WORD
from cxreport.types import Decoding, Detail, Encoding, Plan, Section

FREE = 20
"""The scripted model's word for its n-th sentence, if free, is `FREE` + n; for a planned one it is 3 + tag."""
NO_IMAGE = Encoding({}, None, None)
F, I = Section.FINDINGS, Section.IMPRESSION  # noqa: E741


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return replace(load_manifest(tiny_bundle), decoding=DecodingDefaults(max_sentences=4, min_words=1, max_words=9))


class Scripted:
    """Stands for a model: sentences of one word that tells their topic; ends where the script says so."""

    def __init__(self, manifest: Manifest, impression_after: int = 99, stop_after: int = 99) -> None:
        self.manifest = manifest
        self.impression_after, self.stop_after = impression_after, stop_after
        self.bound_steps = frozenset[str]()
        self.calls: list[tuple[StudyInput, TopicInput]] = []
        self.word_rows: list[int] = []

    def sentence_step(
        self, studies: StudyInput, topics: TopicInput, hidden: np.ndarray, cell: np.ndarray
    ) -> SentenceOutput:
        self.calls.append((studies, topics))
        patches, plan = studies.patches, topics.plan
        number = hidden[:, 0] + 1
        topic = np.zeros_like(hidden)
        topic[:, 0] = np.where(plan.any(1), plan.argmax(1) + 3, FREE + number)
        attention = np.full(patches.shape[:2], 1 / patches.shape[1], np.float32)
        ends = (number >= self.stop_after).astype(np.float32), (number >= self.impression_after).astype(np.float32)
        return SentenceOutput(topic, *ends, attention, hidden + 1, cell)

    def word_step(self, topic: np.ndarray, word: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> WordOutput:
        self.word_rows.append(len(word))
        scores = np.full((len(word), len(self.manifest.vocabulary)), -9.0, np.float32)
        scores[np.arange(len(word)), np.where(word == NO_WORD, topic[:, 0].astype(int), END)] = -0.5
        return WordOutput(scores, hidden, cell)


def outcome(decoding: Decoding) -> list[tuple[Section, tuple[int, ...]]]:
    return [(s.section, s.ids) for s in decoding.sentences]


def outline(script: Scripted, *tags: int, options: DecodeOptions | None = None) -> list[tuple[Section, int]]:
    (decoding,) = decode(script, [NO_IMAGE], [made_plan(script.manifest, *tags)], options)  # type: ignore[arg-type]
    return [(s.section, s.ids[0]) for s in decoding.sentences]


def test_planned_topics_come_first_in_both_sections(manifest: Manifest) -> None:
    script = Scripted(manifest, impression_after=4, stop_after=7)
    granuloma = manifest.reporting_names.index("Granuloma")  # not for the Impression
    assert outline(script, granuloma, 1) == [
        (F, 3 + granuloma), (F, 4), (F, FREE + 3), (F, FREE + 4), (I, 4), (I, FREE + 6), (I, FREE + 7)
    ]  # fmt: skip
    sections = [int(topics.section[0]) for _, topics in script.calls]
    assert sections == [0, 0, 0, 0, 1, 1, 1]
    tags = np.zeros(6, np.float32)
    tags[[granuloma, 1]] = 0.75
    assert all(np.array_equal(studies.tags[0], tags) for studies, _ in script.calls)


def test_planned_topics_are_told_whatever_the_networks_and_the_cap_say(manifest: Manifest) -> None:
    script = Scripted(manifest, impression_after=0, stop_after=0)
    expected = [(F, 3), (F, 4), (F, 5), (F, 6), (F, 7), (I, 3), (I, 4), (I, 5), (I, 6), (I, 7)]
    assert outline(script, 0, 1, 2, 3, 4) == expected
    assert outline(script, 0, 1, 2, 3, 4, options=DecodeOptions(max_sentences=2)) == expected


def test_denials_follow_what_is_told_and_stay_in_the_findings(manifest: Manifest) -> None:
    script = Scripted(manifest, impression_after=0, stop_after=0)
    plan = made_plan(manifest, 1, denied=(3, 0))
    (decoding,) = decode(script, [NO_IMAGE], [plan])  # type: ignore[arg-type]
    inputs = [topics.plan[0] for _, topics in script.calls]
    assert [(row.nonzero()[0].tolist(), float(row.sum())) for row in inputs] == [
        ([1], 1.0), ([3], -1.0), ([0], -1.0), ([1], 1.0)
    ]  # fmt: skip
    assert [s.planned for s in decoding.sentences] == [1, None, 1]  # the script denies all tags in one word
    denied = [s.topic.tags if s.topic and s.topic.tag is None else None for s in decoding.sentences]
    assert denied == [None, (3,), None]
    plain = replace(manifest, decoding=replace(manifest.decoding, planned=False))
    free = Scripted(plain, impression_after=0, stop_after=0)
    decode(free, [NO_IMAGE], [plan])  # type: ignore[arg-type]
    assert not any(topics.plan.any() for _, topics in free.calls)


def test_details_are_planned_in_both_sections_and_for_their_tag_alone(manifest: Manifest) -> None:
    script = Scripted(manifest, impression_after=0, stop_after=0)
    plan = made_plan(manifest, 0, 1, denied=(3,), details={1: {Detail.LEFT, Detail.MILD}})
    decode(script, [NO_IMAGE], [plan])  # type: ignore[arg-type]
    details = [[d for d, hot in zip(Detail, topics.detail[0], strict=True) if hot] for _, topics in script.calls]
    assert details == [[], [Detail.LEFT, Detail.MILD], [], [], [Detail.LEFT, Detail.MILD]]


@pytest.mark.parametrize("beam", [1, 3])
def test_words_of_details_that_are_not_planned_are_not_written(manifest: Manifest, beam: int) -> None:
    words = np.zeros((len(Detail), len(manifest.vocabulary)), np.bool_)
    words[[list(Detail).index(Detail.LEFT), list(Detail).index(Detail.RIGHT)], 4] = True  # the word of tag 1: bilateral

    def first(*details: Detail, planned: bool = True) -> int:
        decoding = replace(manifest.decoding, planned=planned)
        script = Scripted(replace(manifest, detail_words=words, decoding=decoding), 0, 0)
        plan = made_plan(manifest, 1, details={1: details})
        (decoding,) = decode(script, [NO_IMAGE], [plan], DecodeOptions(beam=beam))  # type: ignore[arg-type]
        return decoding.sentences[0].ids[0]

    assert first(Detail.LEFT, Detail.RIGHT) == 4
    assert first() != 4
    assert first(Detail.LEFT, Detail.MILD) != 4
    assert first(planned=False) == FREE + 1


def test_a_stop_in_the_findings_still_gives_an_impression(manifest: Manifest) -> None:
    assert outline(Scripted(manifest, stop_after=2)) == [(F, FREE + 1), (F, FREE + 2), (I, FREE + 3)]


def test_sections_are_capped(manifest: Manifest) -> None:
    assert [section for section, _ in outline(Scripted(manifest))] == [F] * 4 + [I] * 4
    assert len(outline(Scripted(manifest), 0, options=DecodeOptions(max_sentences=1))) == 2


def test_finished_studies_leave_the_batch(manifest: Manifest) -> None:
    script = Scripted(manifest, impression_after=3, stop_after=4)
    plans = [made_plan(manifest, *range(n)) for n in (0, 5, 1)]
    decodings = decode(script, [NO_IMAGE] * 3, plans)  # type: ignore[arg-type]
    assert [len(studies.tags) for studies, _ in script.calls] == [3] * 4 + [1] * 6
    alone = [decode(Scripted(manifest, 3, 4), [NO_IMAGE], [p])[0] for p in plans]  # type: ignore[arg-type]
    assert list(map(outcome, decodings)) == list(map(outcome, alone))
    assert script.word_rows == [18, 18]  # all sentences of all studies at once: their word, their end


def test_duplicates_within_a_section_are_dropped(manifest: Manifest) -> None:
    class Repeating(Scripted):
        def word_step(self, topic: np.ndarray, *rest: np.ndarray) -> WordOutput:
            return super().word_step(np.where(topic > FREE, FREE, topic), *rest)

    assert outline(Repeating(manifest, 3, 6), 0) == [(F, 3), (F, FREE), (I, 3), (I, FREE)]


def test_studies_with_and_without_image(manifest: Manifest) -> None:
    script = Scripted(manifest, 1, 2)
    image = Encoding({}, np.ones((4, 12), np.float32), np.ones(12, np.float32))
    without, with_image = decode(script, [NO_IMAGE, image], [made_plan(manifest)] * 2)  # type: ignore[arg-type]
    shapes = {studies.patches.shape: float(studies.has_image[0]) for studies, _ in script.calls}
    assert shapes == {(1, 4, 12): 1.0, (1, 1, 12): 0.0}
    assert all(s.attention is None for s in without.sentences)
    assert all(s.attention is not None and s.attention.shape == (4,) for s in with_image.sentences)
    assert decode(script, [], []) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"beam": 0}, {"max_words": 0}, {"min_words": -1}, {"max_sentences": 0}])
def test_lengths_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        DecodeOptions(**options)


def studies(model: Model) -> tuple[list[Encoding], list[Plan]]:
    random = np.random.default_rng(11)
    tables = [
        Encoding(dict(zip(model.manifest.tag_names, random.random(14).tolist(), strict=True)), None, None)
        for _ in range(8)
    ]
    encodings = [e for pair in zip(encode(model, clouds(7, seed=11)), tables, strict=False) for e in pair]
    return encodings, [make_plan(model.manifest, e, "head") for e in encodings]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_study_is_decoded_the_same_in_any_batch(model: Model, beam: int) -> None:
    encodings, plans = studies(model)
    options, everyone = DecodeOptions(beam=beam), range(len(encodings))

    def read(batch: list[int]) -> dict[int, list[tuple[Section, tuple[int, ...], float]]]:
        decodings = decode(model, [encodings[i] for i in batch], [plans[i] for i in batch], options)
        return {
            i: [(s.section, s.ids, s.log_probability) for s in d.sentences]
            for i, d in zip(batch, decodings, strict=True)
        }

    together = read(list(everyone))
    assert len({str(sentences) for sentences in together.values()}) > 7
    shuffled = np.random.default_rng(2).permutation(len(encodings)).tolist()
    batches = [[i] for i in everyone] + [shuffled[:3], shuffled[3:], shuffled, shuffled[:1] * 5 + shuffled[1:]]
    for batch in batches:
        for i, sentences in read(batch).items():
            assert sentences == together[i]


def test_numbers_do_not_depend_on_the_batch(model: Model) -> None:
    """To the last bit: what makes near ties fall the same way."""
    random = np.random.default_rng(5)
    hidden = model.manifest.sizes.hidden
    topics, state, memory = random.normal(size=(3, 40, hidden)).astype(np.float32)
    words = random.integers(-1, len(model.manifest.vocabulary), 40)
    batch = model.word_step(topics, words, state, memory)
    for first, last in [(0, 1), (1, 3), (4, 9), (7, 24), (39, 40), (3, 40)]:
        rows = slice(first, last)
        subset = model.word_step(topics[rows], words[rows], state[rows], memory[rows])
        assert all(np.array_equal(a, b[rows]) for a, b in zip(subset, batch, strict=True))


def test_a_beam_changes_scores_for_the_better(model: Model) -> None:
    encodings, plans = studies(model)
    narrow = decode(model, encodings, plans)
    wide = decode(model, encodings, plans, DecodeOptions(beam=5))
    scores = [
        [s.log_probability / (len(s.ids) + 1) for d in decodings for s in d.sentences] for decodings in (narrow, wide)
    ]
    assert np.mean(scores[1]) >= np.mean(scores[0])
