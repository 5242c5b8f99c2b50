"""Memory of processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxreport.bench.processes import measure_memory
from cxreport.bench.studies import Size, write_studies
from cxreport.model.choices import FileEncoding


@pytest.mark.slow
def test_memory_counts_workers(tiny_bundle: Path, tmp_path: Path) -> None:
    write_studies(tmp_path, 8, Size(64, 64), {FileEncoding.RAW: 1.0})
    files = [[file] for file in sorted(tmp_path.iterdir())]
    arguments = ["--model", str(tiny_bundle), "--device", "cpu", "--workers"]
    alone, helped = (measure_memory(files, [*arguments, workers]) for workers in ("0", "2"))
    if alone is None or helped is None:
        pytest.skip("no /proc")
    assert (alone.studies, alone.workers) == (8, 0)
    assert 20 < alone.main < 2000
    assert helped.workers > 20
    assert helped.total == helped.main + helped.workers
