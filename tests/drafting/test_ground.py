"""Maps of sentences and words: similarities of patches and texts, and their product with attention."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_drafts import clouds

from cxreport.drafting import ground as grounding
from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.grid import resized
from cxreport.drafting.ground import ground, text_map
from cxreport.drafting.plan import make_plan
from cxreport.model.encode import encode, encode_tags
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.text import lexicon
from cxreport.text.tokens import text_ids
from cxreport.types import Decoding, Encoding, Section, SentenceIds

PATCHES, EMBEDDED, WIDTH = 4, 16, 6
RANDOM = np.random.default_rng(4)
SEEN = Encoding(
    {},
    RANDOM.normal(size=(PATCHES, 12)).astype(np.float32),
    np.ones(WIDTH, np.float32),
    RANDOM.normal(size=(EMBEDDED, WIDTH)).astype(np.float32) * 3,
)
ATTENTION = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


class Reader:
    """Stands for a model: records the texts, and embeds each as the sum of its words' vectors."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.vectors = np.random.default_rng(5).normal(size=(len(manifest.text_vocabulary), WIDTH)).astype(np.float32)
        self.read: list[list[list[int]]] = []

    def encode_text(self, words: np.ndarray) -> np.ndarray:
        self.read.append(words.tolist())
        total = self.vectors[words].sum(1)
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


@pytest.fixture
def reader(model: Model) -> Reader:
    return Reader(model.manifest)


def sentence(
    planned: int | None = None, attention: np.ndarray | None = ATTENTION, words: np.ndarray | None = None
) -> SentenceIds:
    return SentenceIds(Section.FINDINGS, (5, 7, 9), planned, attention, -1.0, words)


def grounded(reader: Reader, sentence: SentenceIds, encoding: Encoding = SEEN) -> SentenceIds:
    (decoding,) = ground(reader, [encoding], [Decoding((sentence,))])  # type: ignore[arg-type]
    return decoding.sentences[0]


def by_hand(prior: np.ndarray, text: np.ndarray) -> np.ndarray:
    """A map, patch by patch: exponentials of similarities, spread over the neighbours."""
    side = math.isqrt(EMBEDDED)
    assert SEEN.patch_embeddings is not None
    weighted = prior * np.exp(SEEN.patch_embeddings @ text)
    weights = np.zeros(EMBEDDED)
    for patch in range(EMBEDDED):
        for neighbour in range(EMBEDDED):
            apart = (patch // side - neighbour // side) ** 2 + (patch % side - neighbour % side) ** 2
            weights[patch] += weighted[neighbour] * np.exp(-apart / (2 * 1.5**2))
    return np.asarray(weights / weights.sum())


def test_maps_are_similarities_and_those_of_words_their_product(reader: Reader) -> None:
    result = grounded(reader, sentence())
    vectors = reader.vectors[[5, 7, 9]]
    sentence_map = by_hand(np.ones(EMBEDDED), vectors.sum(0) / np.linalg.norm(vectors.sum(0)))
    np.testing.assert_allclose(result.attention, sentence_map, rtol=1e-4)
    assert result.decoder_attention is ATTENTION  # kept, but no part of the map
    assert result.word_attention is not None
    for row, vector in zip(result.word_attention, vectors, strict=True):
        np.testing.assert_allclose(row, by_hand(sentence_map, vector / np.linalg.norm(vector)), rtol=1e-4)
    assert reader.read == [[[5, 7, 9]], [[5], [7], [9]]]


def test_words_that_attend_themselves_have_the_product_with_that(reader: Reader) -> None:
    attention = np.random.default_rng(6).dirichlet(np.ones(PATCHES), 3).astype(np.float32)
    result = grounded(reader, sentence(words=attention))
    assert result.word_attention is not None
    for row, word, prior in zip(result.word_attention, (5, 7, 9), attention, strict=True):
        vector = reader.vectors[word]
        np.testing.assert_allclose(row, by_hand(resized(prior, EMBEDDED), vector / np.linalg.norm(vector)), rtol=1e-4)


def test_planned_sentences_have_the_map_of_their_tag(reader: Reader) -> None:
    planned = grounded(reader, sentence(planned=1))
    tag = reader.manifest.reporting_names[1]
    plain = text_ids(reader.manifest.text_vocabulary, [lexicon.packaged().plain_sentence(tag)])
    assert reader.read == [plain.tolist(), [[5], [7], [9]]]
    free = grounded(reader, sentence())
    assert planned.attention is not None
    assert free.attention is not None
    assert np.abs(planned.attention - free.attention).max() > 1e-3
    assert (planned.section, planned.ids, planned.planned, planned.log_probability) == (
        Section.FINDINGS,
        (5, 7, 9),
        1,
        -1,
    )


def test_sentences_without_attention_have_that_of_a_uniform_one(reader: Reader) -> None:
    even = np.full(PATCHES, 1 / PATCHES, np.float32)
    with_it, without = grounded(reader, sentence(attention=even)), grounded(reader, sentence(attention=None))
    np.testing.assert_array_equal(with_it.attention, without.attention)
    np.testing.assert_array_equal(with_it.word_attention, without.word_attention)


def test_attention_that_rules_a_patch_out_keeps_maps_finite(reader: Reader) -> None:
    peaked, even = (
        grounded(reader, sentence(words=np.array([row] * 3, np.float32))).word_attention
        for row in ([1, 0, 0, 0], [0.25] * 4)
    )
    assert peaked is not None
    assert even is not None
    assert np.isfinite(peaked).all()
    corner, usual = (rows.reshape(3, 4, 4)[:, :2, :2].sum((1, 2)) for rows in (peaked, even))
    assert (corner > 1.1 * usual).all()  # each word's; the smoothing carries some of it over the edge


@pytest.mark.parametrize(
    "word_attention", [None, np.random.default_rng(6).dirichlet(np.ones(PATCHES), 3).astype(np.float32)]
)
def test_without_a_text_encoder_words_share_the_attention(reader: Reader, word_attention: np.ndarray | None) -> None:
    plain = replace(SEEN, patch_embeddings=None)
    result = grounded(reader, sentence(words=word_attention), plain)
    np.testing.assert_array_equal(result.attention, ATTENTION)
    np.testing.assert_array_equal(
        result.word_attention, np.stack([ATTENTION] * 3) if word_attention is None else word_attention
    )
    uniform = grounded(reader, sentence(attention=None), plain)
    np.testing.assert_array_equal(uniform.attention, np.full(PATCHES, 0.25, np.float32))
    assert text_map(reader, plain, "x") is None  # type: ignore[arg-type]
    assert reader.read == []


def test_studies_without_an_image_stay_as_they_are(reader: Reader) -> None:
    blind, seeing = sentence(attention=None), sentence()
    decodings = [Decoding((blind,)), Decoding((seeing,)), Decoding(())]
    first, second, third = ground(reader, [Encoding({}, None, None), SEEN, SEEN], decodings)  # type: ignore[arg-type]
    assert first.sentences[0] is blind
    assert second.sentences[0].word_attention is not None
    assert third.sentences == ()


def test_the_map_of_a_text(reader: Reader) -> None:
    weights = text_map(reader, SEEN, "Pleural effusion, left")  # type: ignore[arg-type]
    ids = text_ids(reader.manifest.text_vocabulary, ["Pleural effusion, left"])[0]
    vector = reader.vectors[ids].sum(0)
    np.testing.assert_allclose(weights, by_hand(np.ones(EMBEDDED), vector / np.linalg.norm(vector)), rtol=1e-4)


@pytest.mark.parametrize(("patches", "size"), [(4, 16), (16, 4), (9, 9), (64, 256), (1, 16), (256, 64)])
def test_resizing_keeps_the_mass(patches: int, size: int) -> None:
    weights = np.random.default_rng(patches).dirichlet(np.ones(patches)).astype(np.float32)
    scaled = resized(weights, size)
    assert scaled.shape == (size,)
    assert scaled.dtype == np.float32
    assert scaled.min() >= 0
    assert scaled.sum() == pytest.approx(1, abs=1e-5)
    side, new = math.isqrt(patches), math.isqrt(size)
    if side > 1:  # the left stays left
        centre, now = (
            float(w.reshape(s, s).sum(0) @ ((np.arange(s) + 0.5) / s)) for w, s in ((weights, side), (scaled, new))
        )
        assert now == pytest.approx(centre, abs=0.1)


def test_resizing_nothing_is_no_error() -> None:
    assert resized(np.zeros(4, np.float32), 16).tolist() == [0.0] * 16


@pytest.mark.parametrize("side", [1, 4, 16])
def test_smoothing_keeps_an_even_map_even_inside(side: int) -> None:
    kernel = grounding._kernel(side)
    assert kernel.shape == (side, side)
    assert kernel.sum(1).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(kernel, kernel.T)


# With the tiny bundle


def test_every_sentence_and_word_of_a_report_has_a_map(model: Model) -> None:
    tags = dict.fromkeys(model.manifest.tag_names, 0.9)
    encodings = [*encode(model, clouds(4, seed=11)), encode_tags(model.manifest, tags)]
    plans = [make_plan(model.manifest, e, "head", 0.3) for e in encodings]
    plain, mapped = (decode(model, encodings, plans, DecodeOptions(attention=a)) for a in (False, True))
    assert any(s.planned is not None for d in mapped for s in d.sentences)
    for encoding, without, with_maps in zip(encodings, plain, mapped, strict=True):
        assert [(s.section, s.ids, s.log_probability) for s in without.sentences] == [
            (s.section, s.ids, s.log_probability) for s in with_maps.sentences
        ]
        for sentence in with_maps.sentences:
            if encoding.patches is None:
                assert sentence.attention is sentence.word_attention is None
                continue
            assert sentence.attention is not None
            assert sentence.word_attention is not None
            maps = np.concatenate([sentence.attention[None], sentence.word_attention])
            assert maps.shape == (1 + len(sentence.ids), model.manifest.sizes.patch_embeddings)
            assert maps.min() >= 0
            np.testing.assert_allclose(maps.sum(1), 1, atol=1e-5)


def test_maps_do_not_depend_on_the_batch(model: Model) -> None:
    encodings = encode(model, clouds(5, seed=12))
    plans = [make_plan(model.manifest, e, "head", 0.3) for e in encodings]
    options = DecodeOptions(attention=True)
    together = decode(model, encodings, plans, options)
    for encoding, plan, decoding in zip(encodings, plans, together, strict=True):
        (alone,) = decode(model, [encoding], [plan], options)
        for a, b in zip(alone.sentences, decoding.sentences, strict=True):
            np.testing.assert_array_equal(a.attention, b.attention)
            np.testing.assert_array_equal(a.word_attention, b.word_attention)
