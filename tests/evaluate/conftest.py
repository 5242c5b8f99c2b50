from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.model.session import Model


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


@pytest.fixture(autouse=True)
def without_java(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR's program takes seconds to start: only tests that are marked slow start it."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture
def metrics() -> CaptionMetrics:
    pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")
    return CaptionMetrics()
