"""Training from end to end on generated data, and on the few real Open-I images where they are."""

import json
import runpy
import shutil
import tomllib

import numpy as np
import pytest
from places import EXAMPLES, SHARED

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import CAPTIONER, JOINT, SHAPES, draw, make_nih, make_openi, write_recipe  # noqa: E402

from cxreport.drafting.pipeline import GenerateOptions, generate  # noqa: E402
from cxreport.errors import ExportError, TrainingError  # noqa: E402
from cxreport.model.bundle import load_manifest  # noqa: E402
from cxreport.model.choices import CAPTIONING, Architecture  # noqa: E402
from cxreport.model.encode import encode  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.text.tokens import text_ids  # noqa: E402
from cxreport.train.export.run import export  # noqa: E402
from cxreport.train.run import train  # noqa: E402
from cxreport.types import Failure, Position, Report, Study, View, ViewInfo  # noqa: E402

pytestmark = pytest.mark.slow
OPENI = SHARED / "data" / "openi"


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Sums of several threads come in any order; two runs are to be the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Quiet:
    """Collects epochs; stops the run as Ctrl-C would before a given one."""

    def __init__(self, stop_before: tuple[str, int] | None = None):
        self.epochs = []
        self._stop_before = stop_before

    def step(self, stage, done, total, loss):
        if self._stop_before == (stage, len([e for e in self.epochs if e[0] == stage])):
            raise KeyboardInterrupt

    def epoch(self, stage, figures):
        self.epochs.append((stage, figures))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make_nih(root / "nih")
    make_openi(root / "openi")
    return root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("unpaired") / "run"
    train(write_recipe(data / "unpaired.toml", "unpaired"), data, run, Quiet())
    return run


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


# Architectures


@pytest.fixture(scope="module")
def plain(data):
    """A recipe of the papers' plain form with a captioner and a joint space; its encoder is that of ``run``."""
    return write_recipe(data / "plain.toml", "unpaired", plan="none", epochs=4, extra=CAPTIONER + JOINT)


@pytest.fixture(scope="module")
def captioners(data, run, plain, tmp_path_factory):
    """A finished run of each captioning architecture."""
    runs = {}
    for architecture in CAPTIONING:
        runs[architecture] = tmp_path_factory.mktemp(architecture) / "run"
        train(plain, data, runs[architecture], Quiet(), architecture, run)
    return runs


def _check_bundle(folder, architecture, written):
    manifest = load_manifest(folder)
    assert (manifest.architecture, manifest.channels, manifest.embeds_texts) == (architecture, 1, True)
    assert written["identical"] == written["inputs"]
    model = Model.load(folder, "cpu")
    pixels = draw({"Effusion"}, np.random.default_rng(9), 64)
    study = Study("x", ("x.png",), View(ViewInfo("x.png", 0, Position.PA), pixels))
    (report,) = generate(model, [study], GenerateOptions(attention=True))
    assert report.findings
    assert report.maps
    assert {m.weights.shape for m in report.maps} == {(8, 8)}
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


def test_an_architecture_of_the_command_line_is_the_runs_own(data, plain, captioners):
    kept = (captioners["cnn-rnn"] / "config.toml").read_text()
    assert tomllib.loads(kept) == tomllib.loads(plain.read_text()) | {"architecture": "cnn-rnn"}
    for other in ("soft-attention", None):
        with pytest.raises(TrainingError, match="another recipe"):
            train(plain, data, captioners["cnn-rnn"], Quiet(), other)
    progress = Quiet()
    train(plain, data, captioners["cnn-rnn"], progress, "cnn-rnn")  # is finished
    assert {stage for stage, _ in progress.epochs} == {"typicality", "tags"}


def test_an_architecture_replaces_the_recipes(data, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'architecture = "soft-attention"\n{(data / "unpaired.toml").read_text()}')
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path / "run", Quiet(("encoder", 0)), "visual-only")
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["architecture"] == "visual-only"


def test_a_wrong_recipe_does_not_claim_the_run_folder(data, plain, tmp_path):
    with pytest.raises(TrainingError, match="transformer"):
        train(plain, data, tmp_path / "run", Quiet(), "transformer")
    with pytest.raises(KeyboardInterrupt):
        train(plain, data, tmp_path / "run", Quiet(("encoder", 0)))


def test_the_encoder_of_a_run_is_taken(run, captioners):
    for name in ("encoder.pt", "features.pt"):
        assert (captioners["cnn-rnn"] / name).read_bytes() == (run / name).read_bytes()
    log = (captioners["cnn-rnn"] / "log.jsonl").read_text()
    assert '"encoder"' not in log


def test_another_encoder_is_refused(data, run, tmp_path):
    recipe = write_recipe(tmp_path / "other.toml", "unpaired", images=1601)
    with pytest.raises(TrainingError, match="trains another encoder"):
        train(recipe, data, tmp_path / "run", Quiet(), None, run)
    with pytest.raises(TrainingError, match="no finished encoder"):
        train(recipe, data, tmp_path / "run", Quiet(), None, tmp_path / "nowhere")
    unfinished = tmp_path / "unfinished"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, unfinished, Quiet(("encoder", 0)))
    with pytest.raises(TrainingError, match="no finished encoder"):
        train(recipe, data, tmp_path / "run", Quiet(), None, unfinished)
    assert not (tmp_path / "run" / "encoder.pt").exists()


# Captions


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
