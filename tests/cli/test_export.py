from __future__ import annotations

from pathlib import Path


def test_export(run_cli, training) -> None:
    result = run_cli("export", "run", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "export: megabytes 41.5000\nbundle: out\n"
    assert training.calls == [(Path("run"), Path("out"))]
