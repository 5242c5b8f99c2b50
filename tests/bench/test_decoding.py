"""Times of decoding, by encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_factory import sample
from pydicom import uid

from cxreport.bench import decoding
from cxreport.bench.decoding import measure_decoding
from cxreport.model.bundle import load_manifest
from cxreport.reading.dicom.codecs import CODECS, Codec

NAMES = {"uncompressed": "raw", "RLE": "rle", "JPEG 2000": "j2k", "JPEG-LS": "jpeg-ls"}
"""Codec -> the short name that generated studies have for it."""


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_every_codec_has_a_name_and_a_decoder(codec: Codec, tmp_path: Path) -> None:
    for number, transfer_syntax in enumerate(codec.transfer_syntaxes):
        path = str(sample(transfer_syntax, tmp_path / f"{number}.dcm"))
        assert decoding._encoding(path) == NAMES.get(codec.name, codec.name)
        decode = decoding._decoder(path)
        assert decode(None) is not None
        assert decode(8) is not None


def test_times_by_encoding(tiny_bundle: Path, tmp_path: Path) -> None:
    syntaxes = (uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEG2000)
    files = [str(sample(syntax, tmp_path / f"{number}.dcm")) for number, syntax in enumerate(syntaxes)]
    j2k, raw = measure_decoding(files, load_manifest(tiny_bundle), 1)
    assert [(times.kind, times.studies) for times in (j2k, raw)] == [("j2k", 1), ("raw", 2)]
    assert all(min(t.full.wall_ms.median, t.shrunk.wall_ms.median, t.file_to_input.median) > 0 for t in (j2k, raw))


def test_a_damaged_file_has_no_times(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.dcm"
    path.write_bytes(b"no image" * 50)
    assert measure_decoding([str(path)], load_manifest(tiny_bundle), 1) == ()
