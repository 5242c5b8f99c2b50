"""Recipes for captions from end to end, on drawn shapes."""

import json
import runpy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from places import EXAMPLES  # noqa: E402
from quiet import Quiet  # noqa: E402
from training_data import CAPTIONER, SHAPES  # noqa: E402

from cxreport.drafting.pipeline import GenerateOptions, generate  # noqa: E402
from cxreport.errors import TrainingError  # noqa: E402
from cxreport.model.bundle import load_manifest  # noqa: E402
from cxreport.model.choices import CAPTIONING  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.train.config import load_config  # noqa: E402
from cxreport.train.export.run import export  # noqa: E402
from cxreport.train.networks.build import new_encoder  # noqa: E402
from cxreport.train.run import train  # noqa: E402
from cxreport.types import Position, Study, View, ViewInfo  # noqa: E402

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


CHANGES = {
    "lr = 1e-3\nlr_low = 1e-3": "lr = 0.0\nlr_low = 0.0",
    "width = 0.0625": "width = 0.0625\npatch_depth = -2",
    "epochs = 3": "epochs = 8",
    "attention = 8": "attention = 8\nplaces = true\nword_queries = true",
}


def test_patches_of_an_earlier_map_of_an_encoder_that_is_not_tuned(shapes, tmp_path):
    """Soft attention with places and word queries, then cnn-rnn on its encoder, each to a bundle that proved itself."""
    text = SHAPES + CAPTIONER
    for old, new in CHANGES.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    recipe = tmp_path / "shapes.toml"
    recipe.write_text(text)
    train(recipe, shapes, tmp_path / "soft-attention", Quiet())
    train(recipe, shapes, tmp_path / "cnn-rnn", Quiet(), "cnn-rnn", tmp_path / "soft-attention")
    weights = torch.load(tmp_path / "soft-attention" / "encoder.pt", weights_only=True)
    config = load_config(tmp_path / "soft-attention" / "config.toml")
    torch.manual_seed(config.seed)
    start = new_encoder(config.encoder, len(weights["tag_head.bias"]))
    assert all(torch.equal(weights[f"features.{name}"], value) for name, value in start.features.state_dict().items())
    assert float((weights["tag_head.weight"] - 0.05 * start.tag_head.weight).abs().max()) > 1e-3
    assert float(weights["norm.running_mean"].abs().max()) > 0
    for architecture in CAPTIONING:
        figures = export(tmp_path / architecture, tmp_path / "bundles" / architecture)
        assert figures["identical"] == figures["inputs"]
        model = Model.load(tmp_path / "bundles" / architecture, "cpu")
        sizes = model.manifest.sizes
        assert (sizes.patches, sizes.patch_dim, sizes.embedding) == (16, 32, 32)
        study = Study("x", ("x.png",), View(ViewInfo("x.png", 0, Position.UNKNOWN), np.full((32, 32, 3), 90, np.uint8)))
        (caption,) = generate(model, [study], GenerateOptions(force=True, attention=True))
        assert {word.weights.shape for word in caption.sentences[0].map.words} == {(4, 4)}


def test_captions_need_frequent_words(shapes, tmp_path):
    recipe = tmp_path / "shapes.toml"
    recipe.write_text((SHAPES + CAPTIONER).replace("tag_count = 5", "tag_count = 500"))
    with pytest.raises(TrainingError, match="No word is in the captions of 500 images"):
        train(recipe, shapes, tmp_path / "run", Quiet())
