from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxreport.drafting import pipeline, topics
from cxreport.drafting.pipeline import GenerateOptions
from cxreport.errors import BundleError, UsageError
from cxreport.explain import explain
from cxreport.model.session import Model
from cxreport.types import Failure, Position, Study, View, ViewInfo


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


def study(grey: int = 100) -> Study:
    return Study("a.png", ("a.png",), View(ViewInfo("a.png", 0, Position.PA), np.full((9, 7), grey, np.uint8)))


def test_explained_report_is_the_generated_one(model) -> None:
    explanation = explain.explain(model, study())
    (report,) = pipeline.generate(model, [study()])
    drafted = explanation.report
    assert (drafted.findings, drafted.impression, drafted.tags) == (report.findings, report.impression, report.tags)
    assert [s.text for s, _ in explanation.sentences] == [*report.findings, *report.impression]
    assert explanation.picture.shape == (model.manifest.image_size,) * 2
    assert explanation.tags == ()
    kinds = ["findings"] * len(report.findings) + ["impression"] * len(report.impression)
    assert explanation.names() == [f"{number:02}-{kind}" for number, kind in enumerate(kinds, start=1)]


def test_maps_are_laid_over_a_colour_picture_in_grey(tiny_captioner: Path) -> None:
    captioner = Model.load(tiny_captioner, "cpu")
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20] = 255, 0, 0
    red = Study("a.png", ("a.png",), View(ViewInfo("a.png", 0, Position.UNKNOWN), pixels))
    picture = explain.explain(captioner, red, GenerateOptions(force=True)).picture
    assert picture.shape == (captioner.manifest.image_size,) * 2
    assert picture[0, 0] > picture[0, -1] == 0


def test_a_tag_is_looked_for_whether_planned_or_not(model, monkeypatch) -> None:
    queries = []

    def attend(_model, encoding, plan, tag: int) -> np.ndarray:
        queries.append((tag, encoding.patches is not None, tag in plan.tags))
        return np.eye(4, dtype=np.float32)[1]

    honest, names = explain.encode, model.manifest.reporting_names

    def encode(*arguments) -> list:
        return [replace(e, patch_embeddings=None) for e in honest(*arguments)]  # attention is all there is

    monkeypatch.setattr(topics, "attend", attend)
    monkeypatch.setattr(explain, "encode", encode)
    both, third = (explain.tag_queries(model.manifest, tags) for tags in ([names[2], names[0]], [names[2]]))
    options = GenerateOptions(threshold=0.0)  # all are planned
    planned = explain.explain(model, study(), options, both).tags
    unplanned = explain.explain(model, study(), GenerateOptions(threshold=1.0), third).tags
    assert queries == [(2, True, True), (0, True, True), (2, True, False)]
    assert [tag.tag for tag in planned] == [names[i] for i in (2, 0)]
    assert [tag.planned for tag in (*planned, *unplanned)] == [True, True, False]
    np.testing.assert_array_equal(planned[0].weights, [[0, 1], [0, 0]])
    assert "(not planned, probability 0." in unplanned[0].text


def test_attention_to_a_tag_sums_to_1(model) -> None:
    queries = explain.tag_queries(model.manifest, model.manifest.reporting_names)
    tags = explain.explain(model, study(), None, queries).tags
    assert len(tags) == 6
    for tag in tags:
        assert tag.weights.shape == (4, 4)
        assert tag.weights.sum() == pytest.approx(1, abs=1e-5)


def test_tags_by_name(model) -> None:
    names = model.manifest.reporting_names
    queries = explain.tag_queries(model.manifest, [names[3].upper(), names[0], names[3], "infiltration"])
    assert [(a.name, a.tag) for a in queries] == [(names[3], 3), (names[0], 0), ("Infiltration", 3)]
    assert [a.text for a in queries] == ["There is a lung opacity.", "There is a pleural effusion.", "Infiltration"]
    with pytest.raises(UsageError, match="no reporting tag 'Anything'") as caught:
        explain.tag_queries(model.manifest, ["Anything"])
    assert names[0] in caught.value.hint


def test_a_failure_is_handed_on(model, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "encode", None)
    assert isinstance(explain.explain(model, study()), Failure)


def test_what_has_no_image_or_no_attention_cannot_be_explained(model, monkeypatch) -> None:
    tags = dict.fromkeys(model.manifest.tag_names, 0.5)
    with pytest.raises(UsageError, match="no image"):
        explain.explain(model, Study("t", ("t",), None, tags=tags))
    honest = pipeline.write_report
    monkeypatch.setattr(pipeline, "write_report", lambda *a, **options: honest(*a, **options | {"maps": False}))
    with pytest.raises(BundleError, match="does not map its sentences"):
        explain.explain(model, study())
