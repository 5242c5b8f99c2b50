from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import make_dataset, phantom, save

from cxreport.drafting import pipeline
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.errors import InvalidTagsError, NotAChestRadiographError, UnreadableFileError, UsageError
from cxreport.model.manifest import DistanceLimits
from cxreport.model.session import Model
from cxreport.reading import network_input
from cxreport.reading.study import read_studies
from cxreport.types import Encoding, Failure, Position, Report, Study, View, ViewInfo


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


def study(name: str, grey: int = 100) -> Study:
    return Study(name, (name,), View(ViewInfo(name, 0, Position.PA), np.full((9, 7), grey, np.uint8)))


FAILURE = Failure("bad", ("bad",), UnreadableFileError("bad"))


def ids(outcomes: list) -> list[str]:
    return [outcome.id if isinstance(outcome, Failure) else outcome.study.id for outcome in outcomes]


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_order_is_kept_and_failures_stay_in_place(model, size) -> None:
    items = [FAILURE, study("a"), study("b"), FAILURE, study("c"), FAILURE]
    outcomes = list(generate(model, items, GenerateOptions(batch_size=size)))
    assert ids(outcomes) == ["bad", "a", "b", "bad", "c", "bad"]
    assert outcomes[0] is FAILURE


def test_one_batch_is_read_ahead_at_most(model) -> None:
    taken = []

    def source():
        for n in range(10):
            taken.append(n)
            yield study(str(n))

    outcomes = generate(model, source(), GenerateOptions(batch_size=3))
    next(outcomes)
    assert taken == [0, 1, 2]


def test_no_study(model) -> None:
    assert list(generate(model, [])) == []


def test_stages_of_the_reader_come_first(model, phantoms) -> None:
    (report,) = generate(model, read_studies([phantoms / "rle.dcm"]))
    assert list(report.timing_ms) == ["read", "pixels", "preprocess", "encode", "plan", "sentences", "words", "report"]
    assert min(report.timing_ms.values()) > 0


def test_stages_are_timed_and_pixels_dropped(model) -> None:
    (report,) = generate(model, [study("a")])
    assert list(report.timing_ms) == ["preprocess", "encode", "plan", "sentences", "words", "report"]
    assert report.study.view.pixels.shape == (model.manifest.image_size,) * 2


@pytest.mark.parametrize("stage", ["network_input", "encode", "make_plan", "decode", "write_report"])
def test_only_the_culprit_fails(model, monkeypatch, stage) -> None:
    """A stage that fails whenever study "b" is in its batch; "b" is the white one, the others are black."""
    module = network_input if stage == "network_input" else pipeline
    honest = getattr(module, stage)
    white = next(generate(model, [study("b", 255)])).tags[0].probability

    def touchy(*arguments, **settings):
        matches = []
        for argument in arguments:
            for item in argument if isinstance(argument, list) else [argument]:
                if isinstance(item, np.ndarray):
                    matches.append(item.min() == 255)
                encoding = getattr(item, "encoding", item)
                if isinstance(encoding, Encoding):
                    matches.append(next(iter(encoding.tags.values())) == white)
        if any(matches):
            raise ValueError("Patient^Name")
        return honest(*arguments, **settings)

    monkeypatch.setattr(module, stage, touchy)
    outcomes = list(generate(model, [study("a", 0), study("b", 255), study("c", 0)]))
    assert [type(outcome) for outcome in outcomes] == [Report, Failure, Report]
    assert outcomes[1].error.code == "unexpected"
    assert outcomes[1].error.message == "ValueError while drafting the report."


def test_a_study_error_keeps_its_code(model) -> None:
    unknown = Study("t", ("t",), None, tags={"nothing": 0.5})
    failed, done = generate(model, [unknown, study("a")])
    assert isinstance(failed, Failure)
    assert isinstance(failed.error, InvalidTagsError)
    assert isinstance(done, Report)


def noise(name: str) -> Study:
    pixels = np.random.default_rng(5).integers(0, 256, (32, 32), np.uint8)
    return Study(name, (name,), View(ViewInfo(name, 0, Position.PA), pixels))


def test_an_image_unlike_the_training_images_is_refused_alone(model) -> None:
    first, refused, last = generate(model, [study("a"), noise("b"), study("c")])
    assert isinstance(first, Report)
    assert isinstance(last, Report)
    assert not first.warnings
    assert isinstance(refused, Failure)
    assert isinstance(refused.error, NotAChestRadiographError)


def test_force_turns_a_refusal_into_a_warning(model) -> None:
    usual, forced = generate(model, [study("a"), noise("b")], GenerateOptions(force=True))
    assert not any("look like" in warning for warning in usual.warnings)
    assert any("does not look like" in warning for warning in forced.warnings)
    assert forced.findings


def test_an_image_between_the_limits_gets_a_warning(model, monkeypatch) -> None:
    limits = DistanceLimits(warn=1e-3, refuse=1e6)
    monkeypatch.setattr(model, "manifest", replace(model.manifest, typicality=limits))
    (doubtful,) = generate(model, [noise("b")])
    assert any("unlike the training images" in warning for warning in doubtful.warnings)


def test_an_error_of_the_whole_run_ends_it(model) -> None:
    tags = dict.fromkeys(model.manifest.tag_names, 0.5)
    with pytest.raises(UsageError):
        list(generate(model, [Study("t", ("t",), None, tags=tags)], GenerateOptions(evidence="none")))


def test_images_and_tags_in_one_batch(model) -> None:
    tags = dict.fromkeys(model.manifest.tag_names, 0.25)
    first, second = generate(model, [Study("t", ("t",), None, tags=tags), study("a")])
    assert {tag.probability for tag in first.tags} == {0.25}
    assert ids([first, second]) == ["t", "a"]


def in_order(folder: Path, *views: np.ndarray) -> Path:
    for number, pixels in enumerate(views):
        save(
            make_dataset(pixels, StudyInstanceUID="1.2.3", PresentationIntentType="FOR PROCESSING"),
            folder / f"{number}.dcm",
        )
    return folder


NOISE = np.random.default_rng(5).integers(0, 256, (32, 32), np.uint8)


@pytest.mark.parametrize("beside", [[], [study("x")]], ids=["alone", "in a batch"])
def test_the_next_view_steps_in_for_one_that_the_model_refuses(model, tmp_path, beside) -> None:
    folder = in_order(tmp_path, NOISE, NOISE[::-1], phantom(white=255, dtype="uint8"))
    *_, report = generate(model, [*beside, *read_studies([folder])])
    assert isinstance(report, Report)
    assert report.study.view.info.source.endswith("2.dcm")
    assert report.study.view.pixels.shape == (model.manifest.image_size,) * 2
    (warning,) = [text for text in report.warnings if "Passed over" in text]
    assert "0.dcm" in warning
    assert "1.dcm" in warning


def test_a_study_fails_where_the_model_refuses_all_views(model, tmp_path) -> None:
    (failure,) = generate(model, read_studies([in_order(tmp_path, NOISE, NOISE[::-1])]))
    assert isinstance(failure.error, NotAChestRadiographError)
    assert failure.error.message.startswith("The image does not look like")
    assert "FOR PROCESSING" in failure.error.message  # named as what may explain it


def test_a_bounded_number_of_views_is_tried(model, tmp_path, monkeypatch) -> None:
    tried = []
    honest = pipeline.check_typical
    monkeypatch.setattr(pipeline, "check_typical", lambda *rest: tried.append(1) or honest(*rest))
    folder = in_order(tmp_path, *(np.roll(NOISE, shift) for shift in range(15)))
    (failure,) = generate(model, read_studies([folder]))
    assert isinstance(failure, Failure)
    assert len(tried) == 9
