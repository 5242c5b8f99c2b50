"""Recipes that are refused."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import write_recipe  # noqa: E402

from cxreport.errors import TrainingError  # noqa: E402
from cxreport.train.config import load_config  # noqa: E402


def test_config_refuses_unknown_keys(tmp_path):
    path = write_recipe(tmp_path / "r.toml", "unpaired")
    assert load_config(path).encoder.phases[0].mixup == 0.2
    path.write_text(path.read_text().replace("seed = 7", "seed = 7\nsed = 8"))
    with pytest.raises(ValueError, match="sed"):
        load_config(path)


def test_run_folders_are_not_shared_between_recipes(tmp_path):
    from cxreport.train.run import train

    recipe = write_recipe(tmp_path / "r.toml", "unpaired")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(json.dumps({}))
    with pytest.raises(TrainingError, match="another recipe"):
        train(recipe, tmp_path, run, progress=None)


@pytest.mark.parametrize(
    ("architecture", "pairing", "message"),
    [("transformer", "unpaired", "transformer"), ("co-attention", "captions", "captions need one of cnn-rnn")],
)
def test_architectures_that_cannot_be(tmp_path, architecture, pairing, message):
    from cxreport.train.run import train

    path = write_recipe(tmp_path / "r.toml", pairing)
    with pytest.raises(TrainingError, match=message):
        train(path, tmp_path, tmp_path / "run", None, architecture)
    path.write_text(f'architecture = "{architecture}"\n{path.read_text()}')
    with pytest.raises(ValueError, match=message):
        load_config(path)


def test_reports_need_a_decoder_table(tmp_path):
    path = write_recipe(tmp_path / "r.toml", "unpaired")
    path.write_text(path.read_text().split("[decoder]")[0])
    with pytest.raises(ValueError, match=r"\[decoder\]"):
        load_config(path)
