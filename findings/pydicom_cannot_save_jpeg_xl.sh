#!/usr/bin/env bash
# pydicom reads a file whose transfer syntax it does not know, but cannot save what it has read.
#
# Library    pydicom 3.0.2, numpy 2.4.6
# Input      a valid DX image in JPEG XL Lossless, 1.2.840.10008.1.2.4.110 (DICOM Supplement 232, PS3.5 8.2.15; the other two
#            JPEG XL transfer syntaxes go the same way). The compressed bytes play no part: pydicom treats them as opaque.
# Guess      dcmread and save_as give the file back, as they do for every other compressed transfer syntax, whether or not
#            there is a decoder. Only pixel_array needs one.
# Behaviour  dcmread succeeds. save_as raises ValueError "... is not a valid transfer syntax", with explicit encoding
#            arguments too; Dataset.decompress and UID.is_compressed raise "UID is not a transfer syntax.", so that a test
#            meant to sort compressed from raw files ends a run. The dictionary of UIDs lacks these three; the pages of the next version list them.
# Hurts      scripts that read, remove identity and save: they stop at, or leave out, images of newer archives (dcm4chee takes
#            JPEG XL by default since its issue 4805). Until the UIDs are known: copy the file's bytes, or
#            write with a private transfer syntax UID.
# Source     own measurement; dcm4chee: https://github.com/dcm4che/dcm4chee-arc-light/issues/4805
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - "$work" <<'PY'
import struct
import sys
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, UID, generate_uid

folder = Path(sys.argv[1])
JPEG_XL = "1.2.840.10008.1.2.4.110"


def image(path: Path) -> None:
    """A DX image with one compressed frame, written as JPEG 2000, whose UID in the meta information is then exchanged."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (generate_uid() for _ in range(3))
    dataset.Modality, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = "DX", 4, 6, 1
    dataset.PhotometricInterpretation, dataset.BitsAllocated, dataset.BitsStored = "MONOCHROME2", 8, 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate([b"\xff\x0a" + bytes(22)])  # begins as a JPEG XL codestream does
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)


def exchange_transfer_syntax(path: Path, uid: str) -> None:
    """Write another transfer syntax into the meta information, and its new length."""
    content = path.read_bytes()
    value = uid.encode() + b"\0" * (len(uid) % 2)
    element = content.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack("<H", content[element + 6 : element + 8])
    content = content[: element + 6] + struct.pack("<H", len(value)) + value + content[element + 8 + length :]
    group = content.index(b"\x02\x00\x00\x00UL")
    (total,) = struct.unpack("<L", content[group + 8 : group + 12])
    path.write_bytes(content[: group + 8] + struct.pack("<L", total + len(value) - length) + content[group + 12 :])


def outcome(call) -> str:
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


print("pydicom", pydicom.__version__)
seen = {}
for name in ("JPEG 2000", "JPEG XL"):
    path = folder / f"{name}.dcm"
    image(path)
    if name == "JPEG XL":
        exchange_transfer_syntax(path, JPEG_XL)
    dataset = pydicom.dcmread(path)
    assert (dataset.Rows, dataset.Columns, len(dataset.PixelData) > 24) == (4, 6, True)
    seen[name] = {
        "save_as": outcome(lambda: dataset.save_as(folder / "again.dcm")),
        "save_as, explicit": outcome(lambda: dataset.save_as(folder / "again.dcm", implicit_vr=False, little_endian=True)),
        "is_compressed": outcome(lambda: UID(dataset.file_meta.TransferSyntaxUID).is_compressed),
    }
    for what, result in seen[name].items():
        print(f"{name:10} {what:18} {result}")
assert set(seen["JPEG 2000"].values()) == {"ok"}
refusal = f"ValueError: The Transfer Syntax UID '{JPEG_XL}' is not a valid transfer syntax"
assert seen["JPEG XL"]["save_as"] == seen["JPEG XL"]["save_as, explicit"] == refusal
assert seen["JPEG XL"]["is_compressed"] == "ValueError: UID is not a transfer syntax."
print("as described: reads, does not save")
PY
