"""Recipes for reports from end to end: on generated data, and on the few real Open-I images where they are."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from places import SHARED  # noqa: E402
from quiet import Quiet  # noqa: E402
from training_data import draw, write_recipe  # noqa: E402

from cxreport.drafting.pipeline import generate  # noqa: E402
from cxreport.errors import ExportError  # noqa: E402
from cxreport.model.bundle import load_manifest  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.train.export.run import export  # noqa: E402
from cxreport.train.run import train  # noqa: E402
from cxreport.types import Failure, Position, Report, Study, View, ViewInfo  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
OPENI = SHARED / "data" / "openi"


def _draft(bundle, labels):
    pixels = draw(labels, np.random.default_rng(9), 64)
    study = Study("x", ("x.png",), View(ViewInfo("x.png", 0, Position.PA), pixels))
    (report,) = generate(Model.load(bundle, "cpu"), [study])
    assert isinstance(report, Report)
    return report


def test_unpaired_training_writes_what_the_image_shows(run, tmp_path):
    figures = export(run, tmp_path / "bundle")
    assert figures["bytes"] < 1_000_000
    log = [json.loads(line) for line in (tmp_path / "bundle" / "training_log.jsonl").read_text().splitlines()]
    assert {entry["stage"] for entry in log} == {
        "encoder",
        "decoder_tags",
        "decoder",
        "consensus",
        "typicality",
        "tags",
    }
    assert log[-1]["val_auc"]["mean"] > 0.9
    manifest = load_manifest(tmp_path / "bundle")
    assert 0 < manifest.typicality.warn < manifest.typicality.refuse
    assert manifest.raw["provenance"]["val_false_alarms"]["warned"] < 0.05
    sick, normal = _draft(tmp_path / "bundle", {"Effusion"}), _draft(tmp_path / "bundle", set())
    assert [p.tag for p in sick.plan] == ["Pleural Effusion"]
    assert any("effusion" in s for s in sick.findings)
    assert not normal.plan
    assert not any("effusion" in s and "no " not in s.lower() for s in normal.findings)
    assert not normal.warnings


def test_what_is_unlike_the_training_images_is_refused(run, tmp_path):
    export(run, tmp_path / "bundle")
    pixels = np.random.default_rng(9).integers(0, 256, (64, 64), np.uint8)
    study = Study("x", ("x.png",), View(ViewInfo("x.png", 0, Position.PA), pixels))
    (refused,) = generate(Model.load(tmp_path / "bundle", "cpu"), [study])
    assert isinstance(refused, Failure)
    assert refused.error.code == "not-a-chest-radiograph"


def test_an_interrupted_run_ends_like_an_undisturbed_one(data, run, tmp_path):
    recipe = data / "unpaired.toml"
    again = tmp_path / "again"
    for stop in (("decoder_tags", 3), ("decoder", 0), ("consensus", 2)):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, data, again, Quiet(stop))
    train(recipe, data, again, Quiet())
    ours, theirs = (torch.load(r / "consensus.pt", weights_only=True) for r in (again, run))
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_an_unfinished_run_is_not_exported(data, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(data / "unpaired.toml", data, tmp_path / "run", Quiet(("encoder", 0)))
    with pytest.raises(ExportError, match="not a finished training run"):
        export(tmp_path / "run", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_paired_training_without_a_plan(data, tmp_path):
    recipe = write_recipe(tmp_path / "paired.toml", "paired", plan="none", images=240, epochs=6)
    train(recipe, data, tmp_path / "run", Quiet())
    export(tmp_path / "run", tmp_path / "bundle")
    report = _draft(tmp_path / "bundle", {"Effusion"})
    assert {t.name for t in report.tags} == {"Cardiomegaly", "Pleural Effusion"}  # MeSH headings
    assert report.findings
    assert report.impression


@pytest.mark.skipif(not OPENI.is_dir(), reason=f"{OPENI} (Open-I with 8 real images) is not here")
def test_paired_training_on_real_images(tmp_path):
    folder = tmp_path / "openi"
    (folder / "ecgen-radiology").mkdir(parents=True)
    for uid in (7, 25, 54, 303, 1900):
        shutil.copy(OPENI / "ecgen-radiology" / f"{uid}.xml", folder / "ecgen-radiology")
    shutil.copytree(OPENI / "images", folder / "images")
    (folder / "r2gen_split.json").write_text(json.dumps({"val": [54]}))
    recipe = write_recipe(tmp_path / "real.toml", "paired", size=128, images=32, epochs=4)
    train(recipe, tmp_path, tmp_path / "run", Quiet())
    figures = export(tmp_path / "run", tmp_path / "bundle")
    assert figures["bytes"] < 2_000_000
    described = json.loads((tmp_path / "bundle" / "model.json").read_text())
    assert described["provenance"]["train_images"] == 4
    assert "Pulmonary Atelectasis" in [t["name"] for t in described["tags"]]
