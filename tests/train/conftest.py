"""Generated data, and runs that several files of tests look at."""

import pytest
from quiet import Quiet
from training_data import CAPTIONER, JOINT, make_nih, make_openi, write_recipe

from cxreport.model.choices import CAPTIONING


@pytest.fixture(scope="session")
def one_thread():
    """Sums of several threads come in any order; two runs are to be the same."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data root, and a recipe for it."""
    root = tmp_path_factory.mktemp("data")
    make_nih(root / "nih")
    make_openi(root / "openi")
    write_recipe(root / "unpaired.toml", "unpaired")
    return root


@pytest.fixture(scope="session")
def run(data, one_thread, tmp_path_factory):
    """A finished run of the recipe."""
    from cxreport.train.run import train

    run = tmp_path_factory.mktemp("unpaired") / "run"
    train(data / "unpaired.toml", data, run, Quiet())
    return run


@pytest.fixture(scope="session")
def plain(data):
    """A recipe of the papers' plain form with a captioner and a joint space; its encoder is that of ``run``."""
    return write_recipe(data / "plain.toml", "unpaired", plan="none", epochs=4, extra=CAPTIONER + JOINT)


@pytest.fixture(scope="session")
def captioners(data, run, plain, tmp_path_factory):
    """A finished run of each captioning architecture."""
    from cxreport.train.run import train

    runs = {}
    for architecture in CAPTIONING:
        runs[architecture] = tmp_path_factory.mktemp(architecture) / "run"
        train(plain, data, runs[architecture], Quiet(), architecture, run)
    return runs
