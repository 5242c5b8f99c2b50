"""Generated studies, mixes and sizes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cxreport import read_studies
from cxreport.bench.studies import Size, parse_mix, parse_size, phantom, write_studies
from cxreport.errors import UsageError
from cxreport.model.choices import FileEncoding
from cxreport.types import Study


def test_generated_studies_are_read(tmp_path: Path) -> None:
    mix = parse_mix("raw=30,rle=10,j2k=20,jpeg-ls=10,png=20,jpeg=10")
    files = write_studies(tmp_path, 20, Size(96, 80), mix)
    assert files.counts == {"raw": 6, "rle": 2, "j2k": 4, "jpeg-ls": 2, "png": 4, "jpeg": 2}
    assert files.bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    studies = list(read_studies([tmp_path]))
    assert all(isinstance(study, Study) and not study.warnings for study in studies)
    assert len({study.id for study in studies}) == 20
    assert {study.view.pixels.shape for study in studies} == {(96, 80)}
    assert [len(study.sources) for study in studies] == [1] * 20
    kinds = [study.sources[0].rpartition(".")[2] for study in studies]
    assert Counter(kinds[:10]) == {"dcm": 7, "png": 2, "jpeg": 1}  # any stretch of them has the shares


@pytest.mark.slow
def test_phantoms_compress_like_radiographs(tmp_path: Path) -> None:
    """Without loss to a half to a fifth, and no two alike."""
    size = Size(1250, 1024)
    files = write_studies(tmp_path, 2, size, {FileEncoding.J2K: 1.0})
    assert 2 < 2 * 2 * size.rows * size.columns / files.bytes < 5
    first, second = phantom(size, 1), phantom(size, 2)
    assert first.max() < 4096
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("text", ["raw", "raw=x", "bmp=1", "raw=0", "raw=-1", ""])
def test_what_is_not_a_mix(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mix(text)


@pytest.mark.parametrize("text", ["2500", "x", "0x10", "8x8", "-5x20", "1e3x20"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)
