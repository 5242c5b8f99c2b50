"""Lexicon of a run: what its targets were read with goes into the bundle, whatever the package's is by then."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import write_recipe  # noqa: E402

from cxreport.errors import TrainingError  # noqa: E402
from cxreport.text.lexicon import packaged  # noqa: E402
from cxreport.train.export import run as export_run  # noqa: E402
from cxreport.train.run import train  # noqa: E402


def test_a_run_keeps_its_lexicon_and_goes_on_under_no_other(tmp_path):
    recipe, run = write_recipe(tmp_path / "r.toml", "unpaired"), tmp_path / "run"
    with pytest.raises(TrainingError, match="no ecgen-radiology"):  # there are no data
        train(recipe, tmp_path, run, progress=None)
    assert (run / "lexicon.toml").read_bytes() == packaged().toml
    (run / "lexicon.toml").write_bytes(packaged().toml + b"# older\n")
    with pytest.raises(TrainingError, match="a run of another lexicon"):
        train(recipe, tmp_path, run, progress=None)


def test_export_takes_the_lexicon_of_the_run(tmp_path):
    assert export_run._lexicon(tmp_path) is packaged()  # of a run from before 0.5.0
    (tmp_path / "lexicon.toml").write_bytes(b"# older\n")
    assert export_run._lexicon(tmp_path).toml == b"# older\n"
