"""`cxreport evaluate --boxes`: measures on hand-made maps, and the whole on generated images with the tiny bundle."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_data import make_nih

from cxreport.datasets.nih import FINDINGS
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import UsageError
from cxreport.evaluate.bootstrap import Figure, pooled_means
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.grounding import deletion, grounding
from cxreport.evaluate.grounding.activation import activation_map, recover_head
from cxreport.evaluate.grounding.boxes import box_mask, find_boxed, read_boxes
from cxreport.evaluate.grounding.deletion import Watched, evenly, masked, measure_deletion, top_cells
from cxreport.evaluate.grounding.encode_once import LookedAt, look
from cxreport.evaluate.grounding.metrics import THRESHOLDS, leave_one_out, mass_ratio, overlaps, points
from cxreport.evaluate.grounding.summary import Place, measure_places
from cxreport.evaluate.run import to_json
from cxreport.evaluate.tables.format import interval, number
from cxreport.explain.explain import asked_tags, tag_map
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.types import Position, Study, View, ViewInfo

HEADER = "Image Index,Finding Label,x,y,w,h"
SIZE = 32
QUARTER = box_mask([(0, 0, 0.5, 0.5)], 8)
HEART, FLUID = "Cardiomegaly", "Effusion"


def corner(row: int, column: int) -> np.ndarray:
    """(2, 2) a map with all its weight in one patch."""
    weights = np.zeros((2, 2), np.float32)
    weights[row, column] = 1
    return weights


EVEN = np.full((2, 2), 0.25, np.float32)


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("nih") / "nih", images=12, val=28, size=SIZE)


@pytest.fixture(scope="module")
def box_file(nih: Path) -> Path:
    """A box around each effusion and each enlarged heart, where `training_data` draws them."""
    path = nih.parent / "boxes.csv"
    rows = csv.DictReader((nih / "Data_Entry_2017.csv").read_text().splitlines())
    drawn = {FLUID: "0,683,512,341", HEART: "256,341,512,341"}
    boxes = [
        f"{row['Image Index']},{finding},{drawn[finding]}"
        for row in rows
        for finding in row["Finding Labels"].split("|")
        if finding in drawn
    ]
    path.write_text("\n".join([HEADER, *boxes, "99999999_000.png,Effusion,1,1,9,9"]))
    return path


# Boxes


def test_boxes_of_a_finding_on_an_image_count_together(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(f"{HEADER}\na.png,Infiltrate,0,0,512,256\na.png,Infiltrate,512,768,512,256\nb.png,Mass,1,2,4,8\n")
    boxes = read_boxes(path)
    assert {name: list(of) for name, of in boxes.items()} == {"a.png": ["Infiltration"], "b.png": ["Mass"]}
    mask = box_mask(boxes["a.png"]["Infiltration"], 4)
    assert mask.tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0, 0, 1, 1]]
    assert boxes["b.png"]["Mass"] == ((1 / 1024, 2 / 1024, 4 / 1024, 8 / 1024),)


def test_boxes_as_nih_published_them(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,512,0,256,1024,,,\n")
    assert read_boxes(path) == {"a.png": {"Mass": ((0.5, 0, 0.25, 1),)}}


def test_a_box_smaller_than_a_pixel_has_the_one_that_it_is_in() -> None:
    mask = box_mask([(0.26, 0.51, 0.05, 0.02)], 4)
    assert np.argwhere(mask).tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Image Index,Finding Label,x,y,w\n", "no column h"),
        ("", "no column Image Index, Finding Label, x, y, w, h"),
        (f"{HEADER}\na.png,Mass,1,2,3,4\na.png,Mass,1,2,x,4\n", "row 3 has no box"),
        (f"{HEADER}\na.png,Mass,1\n", "row 2 has no box"),
        (f"{HEADER}\na.png,Mass,1,2,0,4\n", "row 2 has a box without an area"),
        (f"{HEADER}\na.png,Mass,nan,2,3,4\n", "row 2 has a box without an area"),
    ],
)
def test_unfit_box_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        read_boxes(path)
    assert "Image Index, Finding Label, x, y, w, h" in raised.value.hint


def test_what_is_no_text_is_no_box_file(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(b"\x89PNG\xff\xfe")
    for unfit in (path, tmp_path):
        with pytest.raises(UsageError, match="cannot be read as a table"):
            read_boxes(unfit)


def test_boxed_images_are_found_in_any_split_and_folder(nih: Path, box_file: Path, tmp_path: Path) -> None:
    other = make_nih(tmp_path / "other", images=1, val=1, size=SIZE)
    found = find_boxed([other, nih], read_boxes(box_file), (FLUID,), SIZE)
    assert len(found) == 20  # every second of 40 images has an effusion; the one of the last row is nowhere
    assert {image.name: image.val for image in found}["00000039_000.png"]
    assert not {image.name: image.val for image in found}["00000011_000.png"]
    assert all(list(image.boxes) == [FLUID] and image.pixels.shape == (SIZE, SIZE) for image in found)
    assert len(find_boxed([nih], read_boxes(box_file), (FLUID,), SIZE, limit=3)) == 3
    with pytest.raises(UsageError, match="None of the NIH folders"):
        find_boxed([nih], read_boxes(box_file), ("Mass",), SIZE)


def test_a_patient_of_a_train_list_is_no_val_patient(tmp_path: Path) -> None:
    folder = make_nih(tmp_path / "nih", images=1, val=3, size=SIZE)
    (folder / "train_list.txt").write_text("00000000_000.png\n00000002_007.png")
    boxes = {f"0000000{i}_000.png": {FLUID: ((0.0, 0.0, 1.0, 1.0),)} for i in range(4)}
    found = find_boxed([folder], boxes, (FLUID,), SIZE)
    assert [image.val for image in found] == [False, True, False, True]


# Measures of a map


def test_the_peak_is_inside_or_outside_or_everywhere() -> None:
    assert points(corner(0, 0), QUARTER) == 1
    assert points(corner(1, 0), QUARTER) == 0
    assert points(EVEN, QUARTER) == pytest.approx(1 / 4)


def test_mass_ratio_by_hand() -> None:
    assert mass_ratio(EVEN, QUARTER) == pytest.approx(1)
    exact = np.zeros((8, 8), np.float32)
    exact[:4, :4] = 1
    assert mass_ratio(exact, QUARTER) == pytest.approx(4)
    assert mass_ratio(1 - exact, QUARTER) == 0
    assert mass_ratio(3 * exact + 1, QUARTER) == pytest.approx(16 * 4 / (16 * 4 + 48) * 4)


def test_overlap_by_hand() -> None:
    weights = np.zeros((8, 8), np.float32)
    weights[:4, :4], weights[:4, 4:] = 1, 0.5
    found = dict(zip(THRESHOLDS.round(2), overlaps(weights, QUARTER), strict=True))
    assert found[0.5] == pytest.approx(16 / 32)
    assert found[0.55] == 1
    assert overlaps(7 * weights, QUARTER) == pytest.approx(overlaps(weights, QUARTER))


def test_the_prior_is_that_of_the_other_images() -> None:
    left, right = np.zeros((2, 2), bool), np.zeros((2, 2), bool)
    left[:, 0], right[:, 1] = True, True
    own, *others = leave_one_out([left, right, right])
    assert own.tolist() == [[0, 1], [0, 1]]
    assert all(other.tolist() == [[0.5, 0.5], [0.5, 0.5]] for other in others)
    assert leave_one_out([left])[0].tolist() == [[1, 1], [1, 1]]


# Class activation maps


def synthetic_head(images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of two tags, mean patches of which one feature is dead, and probabilities in 32 bits."""
    random = np.random.default_rng(4)
    weights = random.normal(0, 1, (2, 6))
    means = random.normal(1, 0.5, (images, 6)) * [1, 10, 0.1, 1, 0, 1]
    odds = means @ weights.T + [1, -2]
    return weights, means, (1 / (1 + np.exp(-odds))).astype(np.float32).astype(np.float64)


def test_the_weights_of_a_linear_head_are_recovered() -> None:
    weights, means, probabilities = synthetic_head(100)
    head = recover_head(means, probabilities)
    assert head.recovered.all()
    assert head.images == 90
    wanted = np.where(means.std(0) > 0, weights, 0)
    np.testing.assert_allclose(head.weights, wanted, atol=1e-3)


def test_what_is_not_linear_or_of_too_few_images_is_not_recovered() -> None:
    _, means, probabilities = synthetic_head(100)
    bent = recover_head(means, probabilities**2)
    assert (bent.residuals > 0.01).all()
    assert not bent.recovered.any()
    few = recover_head(means[:7], probabilities[:7])
    assert np.isnan(few.residuals).all()
    assert not few.recovered.any()
    probabilities[::2, 1] = 1  # says nothing of the weights
    assert recover_head(means, probabilities).recovered.tolist() == [True, True]
    probabilities[2:, 1] = 1
    assert recover_head(means, probabilities).recovered.tolist() == [True, False]


def test_an_activation_map_is_what_patches_add_beyond_the_mean() -> None:
    patches = np.array([[1, 5], [2, 5], [3, 5], [6, 5]], np.float32)
    found = activation_map(patches, np.array([2.0, 1.0]))
    assert found.tolist() == [[0, 0], [0, 1]]
    assert activation_map(patches, np.array([0.0, 1.0])).tolist() == EVEN.tolist()


def test_the_tiny_bundles_head_is_recovered(model: Model) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE), np.uint8))
    encodings = encode(model, images)
    means = np.stack([encoding.patches.mean(0, dtype=np.float64) for encoding in encodings])
    odds = np.array([list(encoding.tags.values()) for encoding in encodings], np.float64)
    assert recover_head(means, odds).recovered.sum() > 10  # those of the others are all but certain


# Figures


def place(image: str, finding: str, weights: np.ndarray, mask: np.ndarray = QUARTER, **others: object) -> Place:
    known = {"val": False, "sentence": None, "activation": None} | others
    return Place(image, finding, known["val"], mask, weights, known["sentence"], known["activation"])


def test_means_are_over_findings_and_intervals_over_images() -> None:
    places = [place(str(i), FLUID, corner(0, 0)) for i in range(3)]
    places += [place(str(i), HEART, corner(1, 1)) for i in range(2, 8)]
    (found,) = measure_places(places, 50)
    assert (found.name, found.images) == ("all boxed images", 8)
    assert found.findings[FLUID]["model"].pairs == 3
    assert found.findings[FLUID]["model"].figures["pointing"] == Figure(1, 1, 1)
    assert found.findings[HEART]["model"].figures["pointing"] == Figure(0, 0, 0)
    assert found.means["model"]["pointing"].value == pytest.approx(1 / 2)
    assert found.means["chance"]["pointing"].value == pytest.approx(1 / 4)
    assert found.means["chance"]["mass ratio"].value == 1
    # all other boxes are the same one, so that the prior is right each time
    assert found.means["prior"]["IoU"].value == 1
    assert found.lead.value == pytest.approx(-1 / 2)
    assert found.ahead == 0


def test_the_model_is_ahead_where_boxes_differ() -> None:
    places = [
        place(f"{row}{column}", FLUID, corner(row, column), box_mask([(column / 2, row / 2, 0.5, 0.5)], 8))
        for row in range(2)
        for column in range(2)
    ]
    (found,) = measure_places(places, 0)
    assert found.findings[FLUID]["prior"].figures["pointing"].value == 0  # it is where the other boxes are
    assert (found.ahead, found.lead.value) == (1, 1)


def test_maps_that_are_not_there_count_for_nothing() -> None:
    places = [place("a", FLUID, corner(1, 1), sentence=corner(0, 0)), place("b", FLUID, corner(1, 1), val=True)]
    everything, val = measure_places(places, 10)
    assert (everything.name, everything.images, val.name, val.images) == ("all boxed images", 2, "val patients", 1)
    sentence = everything.findings[FLUID]["sentence"]
    assert (sentence.pairs, sentence.figures["pointing"].value) == (1, 1)
    assert everything.findings[FLUID]["model"].figures["pointing"].value == 0
    none = val.findings[FLUID]["sentence"]
    assert (none.pairs, none.threshold) == (0, None)
    assert math.isnan(none.figures["IoU"].value)
    assert math.isnan(val.means["activation"]["pointing"].value)


def test_one_threshold_per_finding_is_the_best_on_average() -> None:
    halves = np.zeros((8, 8), np.float32)
    halves[:4, :4], halves[:4, 4:] = 1, 0.5
    upper = box_mask([(0, 0, 1, 0.5)], 8)
    (found,) = measure_places([place("a", FLUID, halves, upper), place("b", FLUID, halves, upper)], 0)
    best = found.findings[FLUID]["model"]
    assert best.threshold <= 0.5
    assert best.figures["IoU"].value == 1
    both = measure_places([place("a", FLUID, halves, upper), place("b", FLUID, halves, QUARTER)], 0)[0]
    figure = both.findings[FLUID]["model"].figures["IoU"].value
    assert figure == pytest.approx((1 + 0.5) / 2)


def test_pooled_means_by_hand() -> None:
    values = np.array([[1.0, math.nan], [0.0, 4.0], [0.0, 2.0]])
    found = pooled_means(("a", "b"), values, np.array([7, 7, 9]), 0)
    assert (found["a"].value, found["b"].value) == (pytest.approx(1 / 3), 3)
    # the two of study 7 are drawn together: only 0, 1/3 and 1/2 can come out
    spread = pooled_means(("a", "b"), values, np.array([7, 7, 9]), 400)["a"]
    assert (spread.low, spread.high) == (0, 0.5)


# Deletion


def test_masking_by_hand() -> None:
    pixels, blank = np.arange(16, dtype=np.uint8).reshape(4, 4), np.full((4, 4), 99, np.uint8)
    cells = np.array([[False, True], [False, False]])
    assert masked(pixels, blank, cells).tolist() == [[0, 1, 99, 99], [4, 5, 99, 99], [8, 9, 10, 11], [12, 13, 14, 15]]
    weights = np.arange(25, dtype=np.float32).reshape(5, 5)
    assert np.flatnonzero(top_cells(weights)).tolist() == [20, 21, 22, 23, 24]
    assert top_cells(corner(1, 0)).sum() == 1
    assert evenly(np.arange(10), 3).tolist() == [0, 3, 6]
    assert evenly(np.arange(2), 3).tolist() == [0, 1]


def test_a_tag_falls_where_what_it_lives_on_is_masked() -> None:
    """A made-up tag that is the brightness of the upper left quarter: one map finds it, the other does not."""
    blank = np.zeros((8, 8), np.uint8)

    def probabilities(images: list[np.ndarray]) -> list[dict[str, float]]:
        return [{FLUID: float(image[:4, :4].mean() / 255), HEART: 0.5} for image in images]

    bright = np.full((8, 8), 255, np.uint8)
    seeing, missing = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    seeing[:4, :4], missing[4:, 4:] = 1, 1
    images = [
        Watched(bright, {FLUID: 1.0, HEART: 0.5}, {FLUID: (seeing, missing), HEART: (seeing, None)}) for _ in range(4)
    ]
    found = measure_deletion(images, blank, probabilities, 10)
    fluid, heart = found.findings[FLUID], found.findings[HEART]
    assert (fluid.pairs, heart.pairs, found.overall.pairs) == (4, 4, 8)
    assert fluid.figures["attended"] == Figure(1, 1, 1)
    assert fluid.figures["activation"].value == 0
    assert fluid.figures["drop attended"].value == pytest.approx(13 / 16)  # a fifth of 64 patches
    assert fluid.figures["drop activation"].value == 0
    assert 0.1 < fluid.figures["drop random"].value < 0.3  # a fifth of the quarter
    assert heart.figures["attended"].value == 0  # it does not fall at all
    assert math.isnan(heart.figures["activation"].value)
    assert found.overall.figures["attended"].value == pytest.approx(1 / 2)
    assert found.overall.figures["activation"].value == 0
    assert to_json(measure_deletion(images, blank, probabilities, 10)) == to_json(found)


# All of it


def test_maps_are_those_of_explain_and_of_generate(model: Model, nih: Path, box_file: Path) -> None:
    source = model.manifest.evidence[HEAD]
    eager = replace(model.manifest, evidence={HEAD: replace(source, thresholds=np.full_like(source.thresholds, 0.1))})
    kept, model.manifest = model.manifest, eager
    try:
        image = find_boxed([nih], read_boxes(box_file), (FLUID, HEART), SIZE)[2]
        assert set(image.boxes) == {FLUID, HEART}
        asked = {name: asked_tags(eager, [name])[0] for name in (FLUID, HEART)}
        (seen,) = look(model, [LookedAt(image.pixels, image)], asked, EvaluateOptions())
        (encoding,) = encode(model, [image.pixels])
        plan = make_plan(eager, encoding, HEAD)
        for name, tag in asked.items():
            np.testing.assert_array_equal(seen.maps[name], tag_map(model, encoding, plan, tag))
        study = Study("a", ("a",), View(ViewInfo("a", 0, Position.UNKNOWN), image.pixels))
        (report,) = generate(model, [study], GenerateOptions(attention=True, force=True))
        planned = {planned.tag for planned in report.plan}
        assert {name for name, tag in asked.items() if eager.reporting_names[tag.tag] in planned} == set(seen.told)
        assert seen.told
        for weights in seen.told.values():
            assert any(np.array_equal(weights, sentence.weights) for sentence in report.maps)
    finally:
        model.manifest = kept


def test_grounding(model: Model, nih: Path, box_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grounding, "MOST", 5)
    monkeypatch.setattr(deletion, "MOST", 5)
    found = grounding.evaluate_grounding(model, [nih, nih], box_file, EvaluateOptions(bootstrap=10))
    everything, val = found.sets
    assert (found.boxes, everything.images, val.images) == (40, 30, 21)
    assert list(everything.findings) == [HEART, FLUID]
    assert {name: of["model"].pairs for name, of in everything.findings.items()} == {HEART: 20, FLUID: 20}
    assert everything.means["prior"]["pointing"].value == 1  # the boxes are all alike
    area = box_mask([(256 / 1024, 341 / 1024, 512 / 1024, 341 / 1024)], SIZE).mean()
    assert everything.findings[HEART]["chance"].figures["pointing"].value == pytest.approx(area)
    # a folder named twice is measured once: all but every tenth of 28 val images
    assert (found.head_images, found.unrecovered) == (26, ())
    assert max(found.head_residuals.values()) < 0.01
    assert everything.findings[HEART]["activation"].pairs == 20
    assert {name: of.pairs for name, of in found.deletion.findings.items()} == {HEART: 5, FLUID: 5}
    assert found.deletion.overall.pairs == 10
    assert [pair.val for pair in found.pairs if pair.image == "00000039_000.png"] == [True, True]
    assert sum(pair.told for pair in found.pairs) == sum(of["sentence"].pairs for of in everything.findings.values())


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
    found = grounding.evaluate_grounding(model, [nih], box_file, EvaluateOptions(bootstrap=0, limit=6))
    assert set(found.unrecovered) == {*model.manifest.aliases, *model.manifest.reporting_names} & set(FINDINGS)
    assert found.sets[0].images == 6
    assert found.sets[0].findings[FLUID]["activation"].pairs == 0
    assert 0 < found.sets[0].means["model"]["mass ratio"].value < 4
    assert math.isnan(found.deletion.overall.figures["activation"].value)


def test_a_bundle_that_plans_nothing_has_no_sentence_about_a_finding(model: Model, monkeypatch) -> None:
    monkeypatch.setattr(model, "manifest", replace(model.manifest, aliases={}, reporting_tags=()))
    with pytest.raises(UsageError, match="plans no sentence"):
        grounding.evaluate_grounding(model, [], Path("boxes.csv"), EvaluateOptions())


@pytest.mark.slow
def test_cli(run_cli: Callable, tiny_bundle: Path, nih: Path, box_file: Path) -> None:
    run = ("evaluate", "--model", tiny_bundle, "--nih", nih, "--boxes", box_file, "--bootstrap", 20)
    done = run_cli(*run, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["grounding"]
    assert [some["name"] for some in found["sets"]] == ["all boxed images", "val patients"]
    pointing = found["sets"][0]["findings"][HEART]["model"]["figures"]["pointing"]
    assert pointing["low"] <= pointing["value"] <= pointing["high"]
    assert len(found["pairs"]) == found["boxes"] == 40
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


def test_cells_keep_their_digits() -> None:
    assert [number(value) for value in (0.5, -0.5, 1, 10.25, math.nan)] == [".500", "-.500", "1.000", "10.250", "-"]
    assert interval(Figure(0, -0.25, 0.5)) == "-.250 to .500"
    assert interval(Figure(0, 0.25, 0.5)) == ".250-.500"
