"""Evaluation of captions on generated pictures, and `cxreport evaluate --dataset coco`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from captions import sentence_map
from made_reports import made_sentences

from cxreport.datasets.coco import CocoImage, read_boxes, read_captions
from cxreport.evaluate import coco
from cxreport.evaluate.coco import CaptionScorer, measure_pointing
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.tokens import CaptionTokenizer
from cxreport.sentences import Sentence, SentenceMap, WordMap
from cxreport.types import InputShape, Report, Section, Study


def test_scores_stand_beside_baselines(shapes: Path, metrics: CaptionMetrics) -> None:
    train, val = read_captions(shapes, "train"), read_captions(shapes, "val")
    references = [image.captions for image in val]
    texts = [image.captions[0] for image in val]
    systems = CaptionScorer(metrics, CaptionTokenizer(), 20).score(references, texts, train)
    assert set(systems) == {"model", "constant", "frequent", "random", "human", "model, as human"}
    bleu = {name: figures["BLEU-4"].value for name, figures in systems.items()}
    assert bleu["model"] == pytest.approx(1)
    # of those of the five that were not held out, one in five of the model's texts is gone
    assert max(bleu["human"], bleu["constant"], bleu["frequent"], bleu["random"]) < bleu["model, as human"] <= 1
    assert systems["constant"]["distinct"].value == systems["frequent"]["distinct"].value == 1 / 4
    assert systems["model"]["distinct"].value == 1
    single = CaptionScorer(metrics, CaptionTokenizer(), 0).score([c[:1] for c in references], texts, train)
    assert set(single) == {"model", "constant", "frequent", "random"}


def test_pointing_takes_the_boxes_of_each_image(shapes: Path) -> None:
    images, boxes = read_captions(shapes, "val"), read_boxes(shapes)

    def report(image: CocoImage, right: bool) -> Report:
        words = []
        for shape, distractor in (boxes[image.id], boxes[image.id][::-1]):
            left, top, width, height = (shape if right else distractor).box
            weights = np.zeros((16, 16), np.float32)
            weights[int(top + height / 2) // 2, int(left + width / 2) // 2] = 1
            words.append(WordMap(shape.kind, weights))
        text = " ".join(word.word for word in words)
        sentence = Sentence(Section.FINDINGS, text, map=SentenceMap(weights, tuple(words)))
        return Report(Study("x", (str(image.path),), None), (), (), (sentence,))

    shares = []
    for right in (True, False):
        game = measure_pointing(images, [report(image, right) for image in images], boxes, 0)
        assert game is not None
        assert (game.images, game.words) == (4, 8)
        shares.append((game.hits["model"].value, game.hits["other shape"].value))
    assert shares == [(1, 0), (0, 1)]
    mute = [Report(Study("x", ("x",), None), (), (), made_sentences(("a",))) for _ in images]
    assert measure_pointing(images, mute, boxes, 0) is None
    assert measure_pointing(images, [report(image, True) for image in images], {}, 0) is None


@pytest.mark.usefixtures("metrics")
def test_maps_and_colours_are_asked_for_where_they_serve(shapes_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, depths = [], []
    captions = {
        str(image.path): image.captions for split in ("train", "val") for image in read_captions(shapes_copy, split)
    }

    def draft(model: object, studies: Iterable[Study], options: object, attention: bool) -> list[Report]:
        studies = list(studies)
        asked.append(attention)
        depths.append({study.view.pixels.ndim for study in studies})
        (look,) = sentence_map(red=(0, 0))
        pairs = [(study, captions[study.sources[0]][0]) for study in studies]
        reports = [Report(s, (), (), (Sentence(Section.FINDINGS, text, map=look),)) for s, text in pairs]
        return reports[::-1]

    monkeypatch.setattr(coco, "draft", draft)
    grey, colour = (SimpleNamespace(manifest=SimpleNamespace(input_shape=InputShape(32, n))) for n in (1, 3))
    evaluation = coco.evaluate_coco(colour, shapes_copy, EvaluateOptions(bootstrap=0, samples=2))
    assert (evaluation.images, evaluation.references, evaluation.pointing) == (4, 20, None)
    assert evaluation.systems["model"]["BLEU-4"].value == pytest.approx(1)  # each text is with its own references
    assert [sample.reference for sample in evaluation.samples] == [sample.caption for sample in evaluation.samples]
    (shapes_copy / "shapes_boxes.json").unlink()
    coco.evaluate_coco(grey, shapes_copy, EvaluateOptions(bootstrap=0))
    assert asked == [True, False]
    assert depths == [{3}, {2}]  # a bundle that sees colours gets them


@pytest.fixture
def evaluate(run_cli: Callable, tiny_bundle: Path) -> Callable:
    def run(*arguments: object):
        return run_cli("evaluate", "--model", tiny_bundle, "--bootstrap", 20, *arguments)

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("metrics")
def test_evaluate(evaluate: Callable, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = evaluate("--dataset", "coco", "--data", shapes, "--json", "--samples", 1, "--limit", 3)
    assert done.exit_code == 0, done.stderr
    evaluation = json.loads(done.stdout)
    assert evaluation["openi"] is evaluation["nih"] is None
    captions = evaluation["coco"]
    assert (captions["images"], captions["references"], captions["pointing"]) == (3, 15, None)
    figure = captions["systems"]["model"]["BLEU-1"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert captions["samples"][0]["image"] == "000000000005.jpg"
    assert "val of dataset_coco.json (3, 15 references)" in evaluation["signature"]
    monkeypatch.setenv("COLUMNS", "100")
    table = evaluate("--dataset", "coco", "--data", shapes).stdout
    assert "4 images, 20 references" in table
    assert max(map(len, table.splitlines()[:-1])) <= 100


@pytest.mark.usefixtures("metrics")
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


@pytest.mark.usefixtures("metrics")
def test_data_is_another_way_to_name_a_folder(evaluate: Callable, tmp_path: Path) -> None:
    assert "no ecgen-radiology" in evaluate("--dataset", "openi", "--data", tmp_path).stderr
    named = evaluate("--nih", tmp_path).stderr
    assert "Data_Entry_2017.csv" in named
    assert evaluate("--dataset", "nih", "--data", tmp_path).stderr == named
