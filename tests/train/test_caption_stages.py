"""Recipes for captions from end to end, on drawn shapes."""

import json
import runpy

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from places import EXAMPLES  # noqa: E402
from quiet import Quiet  # noqa: E402
from training_data import CAPTIONER, SHAPES  # noqa: E402

from cxreport.errors import TrainingError  # noqa: E402
from cxreport.model.bundle import load_manifest  # noqa: E402
from cxreport.train.export.run import export  # noqa: E402
from cxreport.train.run import train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Drawn shapes in COCO's layout."""
    folder = tmp_path_factory.mktemp("shapes")
    runpy.run_path(str(EXAMPLES / "make_shapes.py"))["main"](folder, 150, 32, 0)
    return folder


def test_captions_of_pictures(shapes, tmp_path, run_cli):
    recipe = tmp_path / "shapes.toml"
    recipe.write_text(SHAPES + CAPTIONER)
    train(recipe, shapes, tmp_path / "run", Quiet())
    figures = export(tmp_path / "run", tmp_path / "bundle")
    assert figures["identical"] == figures["inputs"]
    manifest = load_manifest(tmp_path / "bundle")
    assert (manifest.channels, manifest.architecture, manifest.embeds_texts) == (3, "soft-attention", False)
    assert {"red", "circle", "left"} <= set(manifest.tag_names)
    assert "left" in manifest.vocabulary
    assert "Not for medical images" in manifest.raw["intended_use"]
    picture = sorted((shapes / "val2017").glob("*.jpg"))[0]
    options = ["--model", tmp_path / "bundle", "--device", "cpu", "--json", "--force"]
    result = run_cli("generate", *options, picture)
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    (caption,) = record["findings"]
    assert record["impression"] == []
    assert len(caption.split()) >= 2
    assert {w.strip(".,").lower() for w in caption.split()} <= set(manifest.vocabulary)


def test_captions_need_frequent_words(shapes, tmp_path):
    recipe = tmp_path / "shapes.toml"
    recipe.write_text((SHAPES + CAPTIONER).replace("tag_count = 5", "tag_count = 500"))
    with pytest.raises(TrainingError, match="No word is in the captions of 500 images"):
        train(recipe, shapes, tmp_path / "run", Quiet())
