"""Captioning architectures: whole reports as one sequence, split again; pictures in colour."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_drafts import clouds
from PIL import Image

from cxreport.drafting.beam import search
from cxreport.drafting.captions import REPEATS, split
from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.drafting.word_scores import CaptionScorer
from cxreport.errors import InvalidTagsError
from cxreport.model.bundle import load_manifest
from cxreport.model.choices import CAPTIONING, Architecture
from cxreport.model.encode import encode
from cxreport.model.manifest import Manifest
from cxreport.model.session import CaptionOutput, Model
from cxreport.model.texts import TextLimits, WrittenText
from cxreport.reading.network_input import network_input
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.sentences import Band, Origin
from cxreport.text.vocabulary import END, NO_WORD
from cxreport.types import Decoding, Encoding, Failure, Plan, Position, Report, Section, Study, View, ViewInfo

F, I = Section.FINDINGS, Section.IMPRESSION  # noqa: E741
NO_PLAN = Plan()


@pytest.fixture(scope="module")
def model(tiny_captioner: Path) -> Model:
    return Model.load(tiny_captioner, "cpu")


@pytest.fixture(scope="module")
def manifest(tiny_captioner: Path) -> Manifest:
    return load_manifest(tiny_captioner)


def pictures(number: int) -> list[np.ndarray]:
    return clouds(number, seed=3, channels=3)


def studies(number: int) -> list[Study]:
    views = [View(ViewInfo(f"{i}.png", 0, Position.UNKNOWN), pixels) for i, pixels in enumerate(pictures(number))]
    return [Study(view.info.source, (view.info.source,), view) for view in views]


def decoded(model: Model, images: list[np.ndarray], **options: int | bool) -> list[Decoding]:
    return decode(model, encode(model, images), [NO_PLAN] * len(images), DecodeOptions(**options))  # type: ignore[arg-type]


def ids(manifest: Manifest, text: str) -> tuple[int, ...]:
    return tuple(map(manifest.vocabulary.index, text.split()))


# Splitting


def outline(manifest: Manifest, text: str) -> list[tuple[Section, str]]:
    decoding = split(manifest, WrittenText(ids(manifest, text), -1.0))
    return [(s.section, " ".join(manifest.vocabulary[i] for i in s.ids)) for s in decoding.sentences]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "the heart is enlarged . the lungs are clear . <impression> pneumothorax is present .",
            [(F, "the heart is enlarged"), (F, "the lungs are clear"), (I, "pneumothorax is present")],
        ),
        ("the lungs are clear", [(F, "the lungs are clear")]),  # cut short
        ("the lungs <impression> clear", [(F, "the lungs"), (I, "clear")]),
        (". . <impression> . clear . .", [(I, "clear")]),
        ("clear . clear . <impression> clear . clear", [(F, "clear"), (I, "clear")]),
        ("<impression> clear . <impression> lungs", [(I, "clear"), (I, "lungs")]),
        ("", []),
    ],
)
def test_sentences_end_at_full_stops_and_sections_at_the_mark(
    manifest: Manifest, text: str, expected: list[tuple[Section, str]]
) -> None:
    assert outline(manifest, text) == expected


def test_a_vocabulary_without_marks_gives_one_sentence(manifest: Manifest) -> None:
    words = replace(manifest, vocabulary=manifest.vocabulary[:-2])
    assert outline(words, "the heart is enlarged") == [(F, "the heart is enlarged")]


def test_sentences_share_the_attention_and_the_log_probability_by_their_words(manifest: Manifest) -> None:
    attention = np.random.default_rng(0).dirichlet(np.ones(4), 8).astype(np.float32)
    caption = WrittenText(ids(manifest, "the lungs . <impression> pneumothorax is present ."), -8.0, attention)
    first, second = split(manifest, caption).sentences
    np.testing.assert_array_equal(first.word_attention, attention[:2])
    np.testing.assert_array_equal(second.word_attention, attention[4:7])
    np.testing.assert_allclose(second.attention, attention[4:7].mean(0))
    assert (first.log_probability, second.log_probability) == (-2.0, -3.0)
    assert first.planned is second.planned is None


# Writing


class Endless:
    """Stands for a model that would say the same 7 words for ever."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.scores = np.full((len(manifest.vocabulary) + 1, len(manifest.vocabulary)), -9.0, np.float32)
        for last, word in itertools.pairwise([NO_WORD, *range(3, 10), 3]):
            self.scores[last + 1, word] = -0.1
        self.scores[:, END] = -20
        self.shapes: set[tuple[int, ...]] = set()

    def caption_step(self, patches: np.ndarray, word: np.ndarray, *state: np.ndarray) -> CaptionOutput:
        self.shapes.add(patches.shape)
        return CaptionOutput(self.scores[word + 1], None, *state)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("architecture", CAPTIONING)
def test_no_phrase_of_six_words_comes_twice(manifest: Manifest, beam: int, architecture: Architecture) -> None:
    model = Endless(replace(manifest, architecture=architecture))
    images = [Encoding({}, np.ones((4, 12), np.float32), None)]
    options = DecodeOptions(beam=beam, max_words=60)
    (decoding,) = decode(model, images, [NO_PLAN], options)  # type: ignore[arg-type]
    ids = decoding.sentences[0].ids
    phrases = [ids[i : i + REPEATS] for i in range(len(ids) - REPEATS + 1)]
    assert REPEATS == 6
    assert len(ids) == 60
    assert len(phrases) == len(set(phrases))
    assert len(set(zip(ids, ids[1:], ids[2:], strict=False))) < len(ids) - 2  # shorter ones do
    assert {shape[1:] for shape in model.shapes} == {(4, 12)}


def test_scorers_are_as_long_as_their_images(model: Model) -> None:
    patches = np.zeros((3, 4, 12), np.float32)
    assert len(CaptionScorer(model, patches)) == 3
    assert decode(model, [], []) == []


def test_reports_are_of_many_kinds_and_well_formed(model: Model) -> None:
    reports = list(generate(model, studies(24), GenerateOptions(force=True)))
    assert all(isinstance(report, Report) for report in reports)
    assert len({(report.findings, report.impression) for report in reports}) > 5
    for report in reports:
        assert 1 <= len(report.findings) <= 2
        assert len(report.impression) == 1
        assert all(text[0].isupper() and text.count(".") == 1 and text[-1] == "." for text in report.findings)
        assert "<" not in " ".join((*report.findings, *report.impression))
        assert {(sentence.origin, sentence.topic) for sentence in report.sentences} == {(Origin.FREE, None)}
        statements = [statement for sentence in report.sentences for statement in sentence.statements]
        assert statements
        assert {(s.probability, s.band) for s in statements} == {(None, Band.NONE)}  # there is no plan
        assert (report.plan, report.repairs.removed, report.repairs.added) == ((), 0, 0)


@pytest.mark.parametrize("beam", [1, 3])
def test_reports_do_not_depend_on_the_batch(model: Model, beam: int) -> None:
    def read(size: int) -> list[tuple[tuple[str, ...], tuple[str, ...], list[list[float]]]]:
        options = GenerateOptions(batch_size=size, beam=beam, force=True, attention=True)
        reports = []
        for report in generate(model, studies(11), options):
            assert isinstance(report, Report)
            reports.append((report.findings, report.impression, [s.map.weights.tolist() for s in report.sentences]))
        return reports

    alone = read(1)
    assert read(3) == alone
    assert read(8) == alone


def test_a_beam_changes_scores_for_the_better(model: Model) -> None:
    patches = np.stack([e.patches for e in encode(model, pictures(20)) if e.patches is not None])
    vocabulary, hidden = len(model.manifest.vocabulary), model.manifest.sizes.hidden
    texts = [
        search(
            CaptionScorer(model, patches),
            hidden,
            np.zeros((len(patches), vocabulary), np.bool_),
            TextLimits(beam, 3, 40, np.zeros(vocabulary, np.bool_), REPEATS),
        )
        for beam in (1, 5)
    ]
    narrow, wide = (np.array([text.score for text in decoded]) for decoded in texts)
    assert wide.mean() >= narrow.mean()
    assert (wide >= narrow - 1e-6).all()


def test_words_attend_with_a_sum_of_1(model: Model) -> None:
    images = pictures(5)
    for decoding in (*decoded(model, images), *decoded(model, images, attention=True)):
        for sentence in decoding.sentences:
            assert sentence.attention is not None
            assert sentence.word_attention is not None
            assert sentence.word_attention.shape == (len(sentence.ids), 4)
            np.testing.assert_allclose(sentence.word_attention.sum(1), 1, atol=1e-5)
            assert sentence.attention.sum() == pytest.approx(1, abs=1e-5)
            assert sentence.word_attention.min() >= 0


def test_tags_alone_are_refused(model: Model) -> None:
    encodings = [*encode(model, pictures(1)), Encoding({"Mass": 0.5}, None, None)]
    with pytest.raises(InvalidTagsError, match="soft-attention, writes from images alone") as caught:
        decode(model, encodings, [NO_PLAN] * 2)
    assert "co-attention" in caught.value.hint
    tags = Study("t", ("t",), None, tags=dict.fromkeys(model.manifest.tag_names, 0.5))
    refused, done = generate(model, [tags, studies(1)[0]], GenerateOptions(force=True))
    assert isinstance(refused, Failure)
    assert isinstance(refused.error, InvalidTagsError)
    assert isinstance(done, Report)


def test_a_tag_table_through_the_command_line(run_cli: Callable, tiny_captioner: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("study,Mass\nA,0.5\n")
    options = ["--model", tiny_captioner, "--device", "cpu", "--json"]
    result = run_cli("generate", *options, "--from-tags", table)
    (record,) = map(json.loads, result.stdout.splitlines())
    assert record["error"]["code"] == "invalid-tags"
    assert "from images alone" in record["error"]["message"]
    assert result.exit_code == 3


# Colour


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """A picture in colour, and the same in grey."""
    pixels = np.random.default_rng(8).integers(0, 256, (6, 6, 3), np.uint8)
    coloured = Image.fromarray(pixels).resize((48, 40), Image.Resampling.BILINEAR)
    coloured.save(tmp_path / "colour.png")
    coloured.convert("L").save(tmp_path / "grey.png")
    return tmp_path / "colour.png", tmp_path / "grey.png"


def encodings(bundle: Path, paths: tuple[Path, ...]) -> list[Encoding]:
    model = Model.load(bundle, "cpu")
    options = ReadOptions(colour=model.manifest.channels == 3)
    views = [study.view for study in read_studies(paths, options) if isinstance(study, Study)]
    sizes = model.manifest.image_size, model.manifest.channels
    return encode(model, [network_input(view.pixels, *sizes) for view in views if view is not None])


def test_only_a_bundle_that_sees_colours_tells_them_apart(
    tiny_captioner: Path, tiny_bundle: Path, twins: tuple[Path, Path]
) -> None:
    colour, grey = encodings(tiny_captioner, twins)
    assert colour.patches is not None
    assert grey.patches is not None
    assert np.abs(colour.patches - grey.patches).max() > 0.1
    colour, grey = encodings(tiny_bundle, twins)
    np.testing.assert_array_equal(colour.patches, grey.patches)
    assert colour.tags == grey.tags


def test_colours_through_the_command_line(
    run_cli: Callable, tiny_captioner: Path, tiny_bundle: Path, twins: tuple[Path, Path]
) -> None:
    def probabilities(bundle: Path) -> list[list[float]]:
        result = run_cli("generate", "--model", bundle, "--device", "cpu", "--json", "--force", *twins)
        assert result.exit_code == 0
        return [[tag["probability"] for tag in json.loads(line)["tags"]] for line in result.stdout.splitlines()]

    coloured, grey = probabilities(tiny_captioner)
    assert coloured != grey
    coloured, grey = probabilities(tiny_bundle)
    assert coloured == grey


def test_dicom_images_are_read_by_a_bundle_that_sees_colours(
    run_cli: Callable, tiny_captioner: Path, phantoms: Path
) -> None:
    result = run_cli("generate", "--model", tiny_captioner, "--device", "cpu", "--json", "--force", phantoms)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert sum(source.endswith(".dcm") for record in records for source in record["study"]["sources"]) > 3
    assert all(record["findings"] for record in records)
    assert result.exit_code == 0
