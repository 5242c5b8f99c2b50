"""Images with captions in COCO's layout: the generated ones, their adapter, and the measures of what is drafted."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from places import EXAMPLES
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from cxreport.datasets.coco import CocoImage, ShapeBox, read_boxes, read_captions
from cxreport.errors import TrainingError
from cxreport.evaluate import baselines, coco
from cxreport.evaluate.bootstrap import Statistics, draw_studies
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.grounding.words import Pointed, inside, peak, pointing_game
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.tokens import CaptionTokenizer
from cxreport.types import Report, Section, SentenceMap, Study, WordMap

sys.path.append(str(EXAMPLES))
import make_shapes

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="METEOR and PTBTokenizer need Java")
IMAGES = 30
SEVERAL = [
    ["a red circle is left of a blue square", "a blue square right of it", "two shapes"],
    ["a green star is above a ring"],
    ["a ring below a green star is small", "a star", "a star over a ring", "a green star"],
]
TEXTS = ["a red circle is right of a blue square", "a green star is above a red ring", "a ring below a star"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    make_shapes.main(folder, IMAGES, side=32, seed=1)
    return folder


@pytest.fixture
def copy(shapes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shapes, tmp_path / "copy")


@pytest.fixture(scope="module")
def metrics() -> CaptionMetrics:
    return CaptionMetrics()


def values(statistics: list[Statistics], studies: int) -> dict[str, float]:
    draws = draw_studies(studies, 0)
    return {name: figure.value for some in statistics for name, figure in some.estimate(draws).items()}


def words(caption: str) -> str:
    return " ".join(make_shapes.tokens(caption))


# The generated data


def test_the_layout_is_that_of_coco(shapes: Path) -> None:
    for part, count in (("train", 24), ("val", 6)):
        data = json.loads((shapes / "annotations" / f"captions_{part}2017.json").read_text())
        assert set(data) == {"info", "licenses", "images", "annotations"}
        assert len(data["images"]) == count
        for image in data["images"]:
            assert image["file_name"] == f"{image['id']:012d}.jpg"
            with Image.open(shapes / f"{part}2017" / image["file_name"]) as opened:
                assert (opened.format, opened.mode) == ("JPEG", "RGB")
                assert opened.size == (image["width"], image["height"]) == (32, 32)
        told = [annotation["image_id"] for annotation in data["annotations"]]
        assert sorted(told) == sorted(image["id"] for image in data["images"] for _ in range(5))
    split = json.loads((shapes / "dataset_coco.json").read_text())
    assert split["dataset"] == "coco"
    assert [image["split"] for image in split["images"]].count("test") == 2
    for image in split["images"]:
        assert (shapes / image["filepath"] / image["filename"]).exists()
        assert len(set(image["sentids"])) == len(image["sentences"]) == 5
        for sentence in image["sentences"]:
            assert sentence["tokens"] == words(sentence["raw"]).split()


def test_the_same_pictures_each_time_however_many(shapes: Path, tmp_path: Path) -> None:
    make_shapes.main(tmp_path / "few", 7, side=32, seed=1)
    make_shapes.main(tmp_path / "other", 7, side=32, seed=2)
    name = "train2017/000000000007.jpg"
    assert (tmp_path / "few" / name).read_bytes() == (shapes / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() != (shapes / name).read_bytes()
    few, many, other = (read_captions(folder, "train") for folder in (tmp_path / "few", shapes, tmp_path / "other"))
    assert few[-1].captions == many[5].captions != other[-1].captions


def test_boxes_hold_the_shapes(shapes: Path) -> None:
    for image in read_captions(shapes, "train"):
        boxes = read_boxes(shapes)[image.id]
        assert len({box.kind for box in boxes}) == len({box.colour for box in boxes}) == 2
        with Image.open(image.path) as opened:
            dark = np.asarray(opened, np.float64).min(2) < 150  # the background is about 232
        within = [inside(box, (32, 32)) for box in boxes]
        assert not (within[0] & within[1]).any()
        assert not (dark & ~(within[0] | within[1])).any()
        assert all((dark & box).sum() > 0.15 * box.sum() for box in within)


def test_captions_name_both_shapes_and_where_they_are() -> None:
    opposite = {"left": "right", "above": "below"}
    for number in range(1, 60):
        scene, captions, _ = make_shapes.picture(number, 0)
        assert len(set(captions)) == 5
        first, second = scene.shapes
        assert first.centre[scene.axis == "down"] < second.centre[scene.axis == "down"] - 0.35
        for caption in captions:
            for shape in scene.shapes:
                assert f"{shape.colour} {shape.kind}" in caption
            assert " a orange" not in caption
        plain = make_shapes.word(scene, make_shapes.FAMILIES[scene.axis][0][0], False)
        relation = "left" if scene.axis == "across" else "above"
        assert relation in plain
        assert plain.index(first.kind) < plain.index(second.kind)
        assert opposite[relation] in make_shapes.FAMILIES[scene.axis][1][0]


def test_no_constant_scores_well_and_who_sees_the_picture_does() -> None:
    pictures = [make_shapes.picture(number, 0)[:2] for number in range(1, 301)]
    references = [[words(caption) for caption in captions] for _, captions in pictures]

    def bleu(texts: Sequence[str]) -> float:
        sides = dict(enumerate(references)), {i: [text] for i, text in enumerate(texts)}
        return Bleu().compute_score(*sides, verbose=0)[0][-1]

    candidates = [text for several in references for text in several]
    best = candidates[baselines.best_constant(candidates, references)]
    assert 0.1 < bleu([best] * 300) <= 0.30
    seen = [words(make_shapes.word(scene, make_shapes.FAMILIES[scene.axis][0][0], False)) for scene, _ in pictures]
    assert bleu(seen) >= 0.70
    blind = [words(make_shapes.word(scene, make_shapes.FAMILIES[scene.axis][0][0], False)) for scene, _ in pictures[1:]]
    assert bleu([*blind, seen[0]]) <= 0.30


# The adapter


def test_the_split_file_says_which_images(copy: Path) -> None:
    assert [len(read_captions(copy, split)) for split in ("train", "val", "test")] == [24, 4, 2]
    split = json.loads((copy / "dataset_coco.json").read_text())
    split["images"][4]["split"] = "restval"  # image 5, of val2017
    split["images"][0]["split"] = "val"
    (copy / "dataset_coco.json").write_text(json.dumps(split))
    train, val = read_captions(copy, "train"), read_captions(copy, "val")
    assert [image.id for image in train][:5] == [2, 3, 4, 5, 6]
    assert train[3].path == copy / "val2017" / "000000000005.jpg"
    assert [image.id for image in val] == [1, 10, 20, 25]
    assert all(len(image.captions) == 5 and image.path.exists() for image in train + val)
    (copy / "dataset_coco.json").unlink()
    assert [image.id for image in read_captions(copy, "val")] == [5, 10, 15, 20, 25, 30]
    with pytest.raises(TrainingError, match=r"test split needs dataset_coco\.json"):
        read_captions(copy, "test")


def test_the_year_2014(copy: Path) -> None:
    wanted = [(image.id, image.captions) for image in read_captions(copy, "train")]
    for path in (copy / "train2017", copy / "val2017", *(copy / "annotations").iterdir()):
        path.rename(path.with_name(path.name.replace("2017", "2014")))
    found = read_captions(copy, "train")
    assert [(image.id, image.captions) for image in found] == wanted
    assert found[0].path.parent.name == "train2014"


def test_what_is_missing_is_named(copy: Path) -> None:
    (copy / "train2017" / "000000000003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"000000000003\.jpg"):
        read_captions(copy, "train")
    path = copy / "annotations" / "captions_val2017.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"annotations": data["annotations"][5:]}))
    with pytest.raises(TrainingError, match="image 5 has no caption"):
        read_captions(copy, "val")
    path.write_text(json.dumps({"images": [{}], "annotations": []}))
    with pytest.raises(TrainingError, match="not COCO captions"):
        read_captions(copy, "val")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"captions_val2017\.json"):
        read_captions(copy, "val")
    (copy / "dataset_coco.json").write_text("{")
    with pytest.raises(TrainingError, match="not JSON"):
        read_captions(copy, "val")


def test_boxes(copy: Path) -> None:
    boxes = read_boxes(copy)
    assert sorted(boxes) == list(range(1, IMAGES + 1))
    (copy / "shapes_boxes.json").write_text('{"1": [{"kind": "ring", "colour": "red", "box": [1, 2, 3]}]}')
    with pytest.raises(TrainingError, match="not boxes"):
        read_boxes(copy)
    (copy / "shapes_boxes.json").unlink()
    assert read_boxes(copy) == {}


# Several references


def test_several_references_as_pycocoevalcap(metrics: CaptionMetrics) -> None:
    sides = dict(enumerate(SEVERAL)), {i: [text] for i, text in enumerate(TEXTS)}
    found = values(metrics.measure(SEVERAL, TEXTS), 3)
    bleus, _ = Bleu().compute_score(*sides, verbose=0)
    assert [found[f"BLEU-{n}"] for n in range(1, 5)] == pytest.approx(bleus)
    assert found["ROUGE-L"] == pytest.approx(Rouge().compute_score(*sides)[0])
    assert found["CIDEr"] == pytest.approx(Cider().compute_score(*sides)[0])
    single = values(metrics.measure([several[0] for several in SEVERAL], TEXTS), 3)
    assert all(found[name] > single[name] for name in ("BLEU-4", "ROUGE-L"))
    assert values(metrics.measure([[several[0]] for several in SEVERAL], TEXTS), 3) == single


def test_bleu_takes_the_closest_reference_length_and_the_shorter_of_two(metrics: CaptionMetrics) -> None:
    def lengths(*references: str) -> float:
        return metrics.measure([references], ["a b c d"])[0].rows[0, 1]

    assert lengths("a", "a b c", "a b c d e f") == 3
    assert lengths("a b c d e", "a b c") == 3


@needs_java
def test_meteor_of_several_references_is_that_of_its_own_program(metrics: CaptionMetrics) -> None:
    assert metrics._meteor is not None
    own, each = metrics._meteor.compute_score(dict(enumerate(SEVERAL)), {i: [text] for i, text in enumerate(TEXTS)})
    statistics = metrics.measure(SEVERAL, TEXTS)[-1]
    assert values([statistics], 3)["METEOR"] == pytest.approx(own)
    assert statistics.figures(statistics.rows)[:, 0] == pytest.approx(each)


def test_the_constant_for_several_references_is_the_best_of_all() -> None:
    rng = np.random.default_rng(4)

    def text() -> str:
        return " ".join(rng.choice(list("abcd"), rng.integers(5, 14)))

    references = [[text() for _ in range(rng.integers(1, 4))] for _ in range(20)]
    train = [text for several in references for text in several]
    scores = [
        Bleu().compute_score(dict(enumerate(references)), {i: [text] for i in range(20)}, verbose=0)[0][-1]
        for text in train
    ]
    assert baselines.best_constant(train, references) == int(np.argmax(scores))
    assert baselines.best_constant(train) != int(np.argmax(scores))


@needs_java
def test_words_are_those_of_the_coco_evaluation() -> None:
    texts = ["A man's cat, (really) isn't \"here\" - well-known; $5 café...", "Two\ndogs!", "two dogs"]
    own = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})
    tokenize = CaptionTokenizer()
    assert tokenize(texts) == [own[i][0] for i in range(3)]
    assert tokenize(["", "..."]) == ["<unk>", "<unk>"]
    assert "PTBTokenizer" in tokenize.signature


def test_words_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    tokenize = CaptionTokenizer()
    assert tokenize(["A man's cat, 5!", ""]) == ["a man s cat", "<unk>"]
    assert "alphabetic_words" in tokenize.signature


def test_scores_stand_beside_baselines(shapes: Path, metrics: CaptionMetrics) -> None:
    train, val = read_captions(shapes, "train"), read_captions(shapes, "val")
    references = [image.captions for image in val]
    texts = [image.captions[0] for image in val]
    systems = coco.score(references, texts, train, metrics, CaptionTokenizer(), 20)
    assert set(systems) == {"model", "constant", "frequent", "random", "human", "model, as human"}
    bleu = {name: figures["BLEU-4"].value for name, figures in systems.items()}
    assert bleu["model"] == pytest.approx(1)
    # of those of the five that were not held out, one in five of the model's texts is gone
    assert max(bleu["human"], bleu["constant"], bleu["frequent"], bleu["random"]) < bleu["model, as human"] <= 1
    assert systems["constant"]["distinct"].value == systems["frequent"]["distinct"].value == 1 / 4
    assert systems["model"]["distinct"].value == 1
    single = coco.score([several[:1] for several in references], texts, train, metrics, CaptionTokenizer(), 0)
    assert set(single) == {"model", "constant", "frequent", "random"}


# Pointing


CIRCLE, SQUARE = ShapeBox("circle", "red", (0, 0, 20, 20)), ShapeBox("square", "blue", (30, 30, 10, 10))


def maps(**peaks: tuple[int, int]) -> tuple[SentenceMap, ...]:
    """A sentence of words, each with the whole weight of a 4 x 4 map on one patch."""
    told = []
    for word, place in peaks.items():
        weights = np.zeros((4, 4), np.float32)
        weights[place] = 1
        told.append(WordMap(f"{word}.", weights))
    text = " ".join(word.word for word in told)
    return (SentenceMap(Section.FINDINGS, text, np.full((4, 4), 1 / 16, np.float32), tuple(told)),)


def pointed(*images: tuple[SentenceMap, ...], boxes: tuple[ShapeBox, ...] = (CIRCLE, SQUARE)) -> list[Pointed]:
    return [Pointed(some, boxes, (40, 40)) for some in images]


def test_pointing_by_hand() -> None:
    # patches are 10 x 10 pixels: (0, 1) lies in the circle's box, (3, 3) is the square's, (0, 3) is nobody's
    images = pointed(maps(a=(0, 3), circle=(0, 1), Square=(3, 3)), maps(circle=(0, 3), square=(1, 1)), maps(red=(0, 0)))
    found = pointing_game(images, 50)
    assert found is not None
    assert (found.images, found.words) == (2, 4)
    hits = {name: figure.value for name, figure in found.hits.items()}
    assert hits["model"] == 2 / 4
    assert hits["other shape"] == 1 / 4  # the second image's square is looked for in the circle
    # circle 1 and square 1 by the map of the second image's circle, circle 2 and square 2 by that of circle 1
    assert hits["other image"] == 1 / 4
    assert hits["centre"] == 0
    assert hits["chance"] == pytest.approx((400 + 100) / 2 / 1600)
    assert found.hits["model"].low is not None
    assert found.hits["model"].low <= 0.5 <= found.hits["model"].high


def test_pointing_at_nothing_is_chance_and_at_the_wrong_place_fails() -> None:
    flat = np.full((4, 4), 1 / 16, np.float32)
    uniform = (SentenceMap(Section.FINDINGS, "circle", flat, (WordMap("circle", flat),)),)
    found = pointing_game(pointed(uniform), 0)
    assert found is not None
    assert found.hits["model"].value == pytest.approx(found.hits["chance"].value) == pytest.approx(400 / 1600)
    wrong = pointing_game(pointed(maps(circle=(3, 0))), 0)
    assert wrong is not None
    assert wrong.hits["model"].value == 0


def test_words_that_name_no_single_shape_do_not_count() -> None:
    twice = (CIRCLE, ShapeBox("circle", "blue", (30, 30, 10, 10)))
    assert pointing_game(pointed(maps(circle=(0, 0)), boxes=twice), 0) is None
    assert pointing_game(pointed(maps(star=(0, 0), circles=(0, 0))), 0) is None


def test_maps_are_enlarged_to_images_that_are_not_square() -> None:
    weights = np.zeros((2, 4), np.float32)
    weights[1, 2] = 1
    found = np.argwhere(peak(weights, (30, 80)))
    assert found.min(0).tolist() == [22, 49]
    assert found.max(0).tolist() == [29, 50]
    assert inside(ShapeBox("ring", "red", (49, 22, 2, 8)), (30, 80)).sum() == 16


def test_pointing_takes_the_boxes_of_each_image(shapes: Path) -> None:
    images, boxes = read_captions(shapes, "val"), read_boxes(shapes)

    def report(image: CocoImage, right: bool) -> Report:
        told = []
        for shape, other in (boxes[image.id], boxes[image.id][::-1]):
            left, top, width, height = (shape if right else other).box
            weights = np.zeros((16, 16), np.float32)
            weights[int(top + height / 2) // 2, int(left + width / 2) // 2] = 1
            told.append(WordMap(shape.kind, weights))
        sentence = SentenceMap(Section.FINDINGS, " ".join(word.word for word in told), weights, tuple(told))
        return Report(Study("x", (str(image.path),), None), (), (), (sentence.text,), (), maps=(sentence,))

    shares = []
    for right in (True, False):
        found = coco.point(images, [report(image, right) for image in images], boxes, 0)
        assert found is not None
        assert (found.images, found.words) == (4, 8)
        shares.append((found.hits["model"].value, found.hits["other shape"].value))
    assert shares == [(1, 0), (0, 1)]
    mute = [Report(Study("x", ("x",), None), (), (), ("a",), ()) for _ in images]
    assert coco.point(images, mute, boxes, 0) is None
    assert coco.point(images, [report(image, True) for image in images], {}, 0) is None


def test_maps_are_asked_for_where_there_are_boxes(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    captions = {str(image.path): image.captions for split in ("train", "val") for image in read_captions(copy, split)}

    def draft(model: object, studies: Iterable[Study], options: object, attention: bool) -> list[Report]:
        asked.append(attention)
        made = [Report(study, (), (), captions[study.sources[0]][:1], (), maps=maps(red=(0, 0))) for study in studies]
        return made[::-1]

    monkeypatch.setattr(coco, "draft", draft)
    found = coco.evaluate_coco(None, copy, EvaluateOptions(bootstrap=0, samples=2))
    assert (found.images, found.references, found.pointing) == (4, 20, None)
    assert found.systems["model"]["BLEU-4"].value == pytest.approx(1)  # each text is with its own references
    assert [sample.reference for sample in found.samples] == [sample.caption for sample in found.samples]
    (copy / "shapes_boxes.json").unlink()
    coco.evaluate_coco(None, copy, EvaluateOptions(bootstrap=0))
    assert asked == [True, False]


# The command line


@pytest.fixture
def evaluate(run_cli: Callable, tiny_bundle: Path) -> Callable:
    def run(*arguments: object):
        return run_cli("evaluate", "--model", tiny_bundle, "--bootstrap", 20, *arguments)

    return run


def test_evaluate(evaluate: Callable, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = evaluate("--dataset", "coco", "--data", shapes, "--json", "--samples", 1, "--limit", 3)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["openi"] is found["nih"] is None
    captions = found["coco"]
    assert (captions["images"], captions["references"], captions["pointing"]) == (3, 15, None)
    figure = captions["systems"]["model"]["BLEU-1"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert captions["samples"][0]["image"] == "000000000005.jpg"
    assert "val of dataset_coco.json (3, 15 references)" in found["signature"]
    monkeypatch.setenv("COLUMNS", "100")
    table = evaluate("--dataset", "coco", "--data", shapes).stdout
    assert "4 images, 20 references" in table
    assert max(map(len, table.splitlines()[:-1])) <= 100


def test_the_pointing_game_has_a_table() -> None:
    from rich.console import Console

    from cxreport.evaluate.run import Evaluation
    from cxreport.evaluate.tables.evaluation import render

    systems = {"model": {}}
    game = pointing_game(pointed(maps(circle=(0, 1))), 0)
    figures = coco.CocoFigures("x", "val", "m", "w", 1, 5, systems, game, ())
    console = Console(width=100)
    with console.capture() as capture:
        console.print(render(Evaluation("signed", None, None, figures)))
    text = capture.get()
    assert "Pointing game: 1 words, 1 images" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("the word's map")] == ["1.000"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dataset", "coco"],
        ["--data", "."],
        ["--dataset", "coco", "--data", ".", "--data", "."],
        ["--dataset", "openi", "--data", ".", "--openi", "."],
        ["--dataset", "coco", "--data", ".", "--plot", "x.png"],
        ["--dataset", "coco", "--data", "nowhere"],
    ],
)
def test_usage(evaluate: Callable, arguments: list) -> None:
    done = evaluate(*arguments)
    assert done.exit_code == 2
    assert "hint:" in done.stderr
    assert not done.stdout


def test_data_is_another_way_to_name_a_folder(evaluate: Callable, tmp_path: Path) -> None:
    assert "no ecgen-radiology" in evaluate("--dataset", "openi", "--data", tmp_path).stderr
    named = evaluate("--nih", tmp_path).stderr
    assert "Data_Entry_2017.csv" in named
    assert evaluate("--dataset", "nih", "--data", tmp_path).stderr == named
