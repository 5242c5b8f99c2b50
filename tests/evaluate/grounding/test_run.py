"""`cxreport evaluate --boxes` on generated images with the tiny bundle."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boxed_images import FLUID, HEART, SIZE

from cxreport.datasets.nih import FINDINGS
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import UsageError
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.grounding import deletion
from cxreport.evaluate.grounding import run as grounding
from cxreport.evaluate.grounding.boxes import box_mask, find_boxed, read_boxes
from cxreport.evaluate.grounding.encode_once import ImageRequest, observe
from cxreport.explain.explain import tag_map, tag_queries
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.types import Position, Study, View, ViewInfo


def test_maps_are_those_of_explain_and_of_generate(model: Model, nih: Path, box_file: Path) -> None:
    source = model.manifest.evidence[HEAD]
    eager = replace(model.manifest, evidence={HEAD: replace(source, thresholds=np.full_like(source.thresholds, 0.1))})
    kept, model.manifest = model.manifest, eager
    try:
        image = find_boxed([nih], read_boxes(box_file), (FLUID, HEART), SIZE)[2]
        assert set(image.boxes) == {FLUID, HEART}
        queries = {name: tag_queries(eager, [name])[0] for name in (FLUID, HEART)}
        (observation,) = observe(model, [ImageRequest(image.pixels, image)], queries, EvaluateOptions())
        (encoding,) = encode(model, [image.pixels])
        plan = make_plan(eager, encoding, HEAD)
        for name, tag in queries.items():
            np.testing.assert_array_equal(observation.maps[name], tag_map(model, encoding, plan, tag))
        study = Study("a", ("a",), View(ViewInfo("a", 0, Position.UNKNOWN), image.pixels))
        (report,) = generate(model, [study], GenerateOptions(attention=True, force=True))
        planned = {planned.tag for planned in report.plan}
        assert {name for name, tag in queries.items() if eager.reporting_names[tag.tag] in planned} == set(
            observation.report_maps
        )
        assert observation.report_maps
        for weights in observation.report_maps.values():
            assert any(np.array_equal(weights, sentence.map.weights) for sentence in report.sentences)
    finally:
        model.manifest = kept


def test_grounding(model: Model, nih: Path, box_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grounding, "MOST", 5)
    monkeypatch.setattr(deletion, "MOST", 5)
    figures = grounding.evaluate_grounding(model, [nih, nih], box_file, EvaluateOptions(bootstrap=10))
    everything, val = figures.sets
    assert (figures.boxes, everything.images, val.images) == (40, 30, 21)
    assert list(everything.findings) == [HEART, FLUID]
    assert {name: of["model"].pairs for name, of in everything.findings.items()} == {HEART: 20, FLUID: 20}
    assert everything.means["prior"]["pointing"].value == 1  # the boxes are all alike
    area = box_mask([(256 / 1024, 341 / 1024, 512 / 1024, 341 / 1024)], SIZE).mean()
    assert everything.findings[HEART]["chance"].figures["pointing"].value == pytest.approx(area)
    # a folder named twice is measured once: all but every tenth of 28 val images
    assert (figures.head_images, figures.unrecovered) == (26, ())
    assert max(figures.head_residuals.values()) < 0.01
    assert everything.findings[HEART]["activation"].pairs == 20
    assert {name: of.pairs for name, of in figures.deletion.findings.items()} == {HEART: 5, FLUID: 5}
    assert figures.deletion.overall.pairs == 10
    assert [pair.val for pair in figures.pairs if pair.image == "00000039_000.png"] == [True, True]
    assert sum(pair.told for pair in figures.pairs) == sum(of["sentence"].pairs for of in everything.findings.values())


def test_each_image_is_encoded_once(model: Model, nih: Path, box_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[bytes] = []
    original = model.encode_batch
    monkeypatch.setattr(model, "encode_batch", lambda batch: encoded.extend(map(bytes, batch)) or original(batch))
    monkeypatch.setattr(grounding, "measure_deletion", lambda *_: None)
    grounding.evaluate_grounding(model, [nih], box_file, EvaluateOptions(bootstrap=0))
    assert len(set(encoded)) == len(encoded) == 28 + 9  # the val images and the boxed ones of the train list


def test_without_a_text_encoder_or_enough_images_there_are_maps_of_attention(
    model: Model, nih: Path, box_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare(batch: np.ndarray):
        return original(batch)._replace(patch_embeddings=None)

    original = model.encode_batch
    monkeypatch.setattr(model, "encode_batch", bare)
    figures = grounding.evaluate_grounding(model, [nih], box_file, EvaluateOptions(bootstrap=0, limit=6))
    assert set(figures.unrecovered) == {*model.manifest.aliases, *model.manifest.reporting_names} & set(FINDINGS)
    assert figures.sets[0].images == 6
    assert figures.sets[0].findings[FLUID]["activation"].pairs == 0
    assert 0 < figures.sets[0].means["model"]["mass ratio"].value < 4
    assert math.isnan(figures.deletion.overall.figures["activation"].value)


def test_a_bundle_that_plans_nothing_has_no_sentence_about_a_finding(model: Model, monkeypatch) -> None:
    monkeypatch.setattr(model, "manifest", replace(model.manifest, aliases={}, reporting_tags=()))
    with pytest.raises(UsageError, match="plans no sentence"):
        grounding.evaluate_grounding(model, [], Path("boxes.csv"), EvaluateOptions())


@pytest.mark.slow
def test_cli(run_cli: Callable, tiny_bundle: Path, nih: Path, box_file: Path) -> None:
    run = ("evaluate", "--model", tiny_bundle, "--nih", nih, "--boxes", box_file, "--bootstrap", 20)
    done = run_cli(*run, "--json")
    assert done.exit_code == 0, done.stderr
    figures = json.loads(done.stdout)["grounding"]
    assert [some["name"] for some in figures["sets"]] == ["all boxed images", "val patients"]
    pointing = figures["sets"][0]["findings"][HEART]["model"]["figures"]["pointing"]
    assert pointing["low"] <= pointing["value"] <= pointing["high"]
    assert len(figures["pairs"]) == figures["boxes"] == 40
    *tables, signature = run_cli(*run).stdout.splitlines()
    text = "\n".join(tables)
    for part in ("Pointing game, all boxed images: 30", "IoU, val patients: 21", "of 2 findings", "Deletion test"):
        assert part in text
    assert max(map(len, tables)) <= 100
    assert "boxes 40 on all boxed images (30), val patients (21); 20% masked, 40 images a finding" in signature


def test_usage(run_cli: Callable, tiny_bundle: Path, nih: Path, box_file: Path, tmp_path: Path) -> None:
    run = ("evaluate", "--model", tiny_bundle)
    done = run_cli(*run, "--boxes", box_file, "--openi", tmp_path)
    assert (done.exit_code, "--boxes goes with --nih" in done.stderr) == (2, True)
    done = run_cli(*run, "--nih", nih, "--limit", 2, "--boxes", tmp_path / "none.csv")
    assert (done.exit_code, "none.csv: not found." in done.stderr, "hint:" in done.stderr) == (2, True, True)
