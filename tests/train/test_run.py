"""Run folders: whose they are, and the encoder of another run."""

import tomllib

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from quiet import Quiet  # noqa: E402
from training_data import write_recipe  # noqa: E402

from cxreport.errors import TrainingError  # noqa: E402
from cxreport.train.run import train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


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
