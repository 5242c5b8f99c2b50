"""Every architecture from a recipe to a bundle."""

import json
import tomllib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from quiet import Quiet  # noqa: E402
from training_data import draw  # noqa: E402

from cxreport.drafting.pipeline import GenerateOptions, generate  # noqa: E402
from cxreport.model.bundle import load_manifest  # noqa: E402
from cxreport.model.choices import CAPTIONING, Architecture  # noqa: E402
from cxreport.model.encode import encode  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.text.tokens import text_ids  # noqa: E402
from cxreport.train.export.run import export  # noqa: E402
from cxreport.train.run import train  # noqa: E402
from cxreport.types import Position, Study, View, ViewInfo  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def _check_bundle(folder, architecture, written):
    manifest = load_manifest(folder)
    assert (manifest.architecture, manifest.channels, manifest.embeds_texts) == (architecture, 1, True)
    assert written["identical"] == written["inputs"]
    model = Model.load(folder, "cpu")
    pixels = draw({"Effusion"}, np.random.default_rng(9), 64)
    study = Study("x", ("x.png",), View(ViewInfo("x.png", 0, Position.PA), pixels))
    (report,) = generate(model, [study], GenerateOptions(attention=True))
    assert report.findings
    assert {sentence.map.weights.shape for sentence in report.sentences} == {(8, 8)}
    (encoding,) = encode(model, [pixels])
    texts = model.encode_text(text_ids(manifest.text_vocabulary, ["infiltration", "pleural effusion"]))
    assert encoding.embedding.shape == texts[0].shape == (16,)
    return report


@pytest.mark.parametrize("architecture", [a for a in Architecture if not a.captioning])
def test_every_hierarchical_architecture_trains(data, run, plain, tmp_path, architecture):
    progress = Quiet()
    train(plain, data, tmp_path / "run", progress, architecture, run)
    stages = list(dict.fromkeys(stage for stage, _ in progress.epochs))  # without a plan no consensus reports
    assert stages == ["decoder_tags", "decoder", "joint", "typicality", "tags"]
    _check_bundle(tmp_path / "bundle", architecture, export(tmp_path / "run", tmp_path / "bundle"))
    config = tomllib.loads((tmp_path / "bundle" / "recipe.toml").read_text())
    assert config["architecture"] == architecture


@pytest.mark.parametrize("architecture", CAPTIONING)
def test_every_captioning_architecture_trains(data, captioners, tmp_path, architecture):
    run = captioners[architecture]
    report = _check_bundle(tmp_path / "bundle", architecture, export(run, tmp_path / "bundle"))
    assert report.plan == ()
    described = json.loads((run / "run.json").read_text())
    assert {".", "<impression>"} <= set(described["vocabulary"])
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [entry["val_words"] for entry in log if entry["stage"] == "captioner"]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert not (run / "decoder_tags.pt").exists()


def test_an_interrupted_captioner_and_joint_space_end_like_undisturbed_ones(data, run, plain, captioners, tmp_path):
    again = tmp_path / "again"
    for stop in (("captioner", 2), ("joint", 1)):
        with pytest.raises(KeyboardInterrupt):
            train(plain, data, again, Quiet(stop), "soft-attention", run)
        assert (again / f"{stop[0]}.last.pt").exists()
    train(plain, data, again, Quiet(), "soft-attention", run)
    for name in ("encoder.pt", "captioner.pt", "joint.pt", "typicality.pt"):
        ours, theirs = (torch.load(r / name, weights_only=True) for r in (again, captioners["soft-attention"]))
        assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    described = [json.loads((r / "run.json").read_text()) for r in (again, captioners["soft-attention"])]
    assert described[0] == described[1]
