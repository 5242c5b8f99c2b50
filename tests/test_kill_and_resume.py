"""The short tier of `scripts/kill_and_resume.py`."""

from __future__ import annotations

import os
import runpy

import pytest
from places import ROOT


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills processes as POSIX does")
def test_killed_runs_are_resumed(capfd: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "kill_and_resume.py"))
    assert script["main"](["--studies", "40", "--moments", "5", "--seed", "2"]) == 0, capfd.readouterr().out
