from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from retrieval_fakes import TEXTS, FakeModel

from cxreport.model import precision


@pytest.fixture
def model(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """The fake model, also for the command line."""
    fake = FakeModel.load(tiny_bundle)
    monkeypatch.setattr(precision, "load_model", lambda *_, **__: fake)
    return fake


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "reports.jsonl"
    lines = [{"id": id_, "findings": findings, "impression": said} for id_, (findings, said) in TEXTS.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def index(model: FakeModel, run_cli: Callable, texts: Path, phantoms: Path) -> Path:
    """An index of three reports and two images."""
    path = texts.with_name("x.index")
    done = run_cli("index", "build", texts, phantoms / "normal-8bit.png", phantoms / "rle.dcm", "-o", path)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert done.stderr == f"{path}: reports: 3, images: 2, left out without a section: 1, failed: 0\n"
    return path


class FakeTraining:
    """Stands in for the training modules, which need torch."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def train(self, config: Path, data: Path, run: Path, progress, architecture, encoder_run) -> None:
        self.calls.append((config, data, run, architecture, encoder_run))
        progress.step("decoder", 1, 2, 0.5)
        progress.epoch("decoder", {"epoch": 1, "loss": 0.25})

    def export(self, run: Path, out: Path) -> dict[str, float]:
        self.calls.append((run, out))
        return {"megabytes": 41.5}


@pytest.fixture
def training(monkeypatch) -> FakeTraining:
    import cxreport.train.export

    fake = FakeTraining()
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: object())
    for package in (cxreport.train, cxreport.train.export):
        monkeypatch.setitem(sys.modules, f"{package.__name__}.run", fake)
        monkeypatch.setattr(package, "run", fake, raising=False)
    return fake


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A text file that is called a picture."""
    path = tmp_path / "bad.png"
    path.write_text("not a picture")
    return path


@pytest.fixture
def full_table(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A tag table with all the tags of the tiny bundle."""
    tags = [tag["name"] for tag in json.loads((tiny_bundle / "model.json").read_text())["tags"]]
    path = tmp_path / "tags.csv"
    path.write_text(f"study,{','.join(tags)}\nA{',0.9' * len(tags)}\nB{',0.1' * len(tags)}\n")
    return path
