from __future__ import annotations

from pathlib import Path

import pytest


def test_train(run_cli, training) -> None:
    result = run_cli("train", "--recipe", "unpaired", "--data", "data", "--out", "run")
    assert result.exit_code == 0
    ((config, data, run, architecture, encoder),) = training.calls
    assert (config.name, data, run) == ("unpaired.toml", Path("data"), Path("run"))
    assert (architecture, encoder) == (None, None)
    assert config.is_file()
    assert result.stdout == ""
    assert result.stderr == "decoder: epoch 1, loss 0.2500\n"


def test_train_another_architecture_with_the_encoder_of_a_run(run_cli, training) -> None:
    options = ["--architecture", "cnn-rnn", "--encoder", "other"]
    assert run_cli("train", "--recipe", "plain", "--data", "data", "--out", "run", *options).exit_code == 0
    assert training.calls[0][3:] == ("cnn-rnn", Path("other"))
    result = run_cli("train", "--recipe", "plain", "--data", "data", "--out", "run", "--architecture", "transformer")
    assert result.exit_code == 2
    assert "soft-attention" in result.stderr
    assert len(training.calls) == 1


@pytest.mark.parametrize("arguments", [[], ["--recipe", "none"], ["--recipe", "unpaired", "--config", "x.toml"]])
def test_train_wants_one_recipe(run_cli, training, arguments) -> None:
    result = run_cli("train", "--data", "data", "--out", "run", *arguments)
    assert result.exit_code == 2
    assert "unpaired" in result.stderr
    assert training.calls == []
