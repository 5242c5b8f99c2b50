#!/usr/bin/env bash
# Raw pixels in fragments (Encapsulated Uncompressed Explicit VR Little Endian) need no codec, and the usual readers refuse them.
#
# Libraries  pydicom 3.0.2, SimpleITK 2.5.7 and python-gdcm 3.2.6, numpy 2.4.6
# Input      a valid DX image of 4 x 6 pixels, 12 of 16 bits, in 1.2.840.10008.1.2.1.98 (DICOM PS3.5 A.4), and its
#            twin in Explicit VR Little Endian
# Guess      readable everywhere: the bytes of a frame are those of the twin, only parted by item tags as compressed frames
#            are; pydicom lists the transfer syntax by name, and calls raw data in it not compressed.
# Behaviour  pydicom: `is_compressed` is True though nothing is compressed; pixel_array and decompress raise
#            NotImplementedError. SimpleITK: "Unable to determine ImageIO reader". GDCM: ImageReader.Read() is False.
#            All read the twin.
# Hurts      archives that chose it for what it is there for (frames that can be fetched one by one, pixel data beyond 4 GB):
#            converters and training pipelines skip their files as damaged or unknown. The way round is
#            pydicom.encaps.generate_frames and numpy.frombuffer.
# Source     own measurement; the same gap in dicom-rs: https://github.com/Enet4/dicom-rs/issues/285
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pydicom==3.0.2 numpy==2.4.6 SimpleITK==2.5.7 python-gdcm==3.2.6 2>/dev/null
"$work/venv/bin/python" - "$work" <<'PY'
import sys
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()
ENCAPSULATED = UID("1.2.840.10008.1.2.1.98")
VALUES = np.arange(24, dtype="<u2").reshape(4, 6)


def image(path: Path, transfer_syntax: UID) -> None:
    """A DX image of 12 bits, native or encapsulated."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (generate_uid() for _ in range(3))
    dataset.Modality, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = "DX", 4, 6, 1
    dataset.PhotometricInterpretation, dataset.BitsAllocated, dataset.BitsStored = "MONOCHROME2", 16, 12
    dataset.HighBit, dataset.PixelRepresentation = 11, 0
    if transfer_syntax == ENCAPSULATED:
        dataset.PixelData = encapsulate([VALUES.tobytes()])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = VALUES.tobytes()
        dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)


def outcome(read) -> str:
    try:
        return "as stored" if np.array_equal(read(), VALUES) else "other values"
    except Exception as error:
        return type(error).__name__


def by_gdcm(path: Path):
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ValueError("gdcm.ImageReader.Read() is False")
    return VALUES


print("pydicom", pydicom.__version__, "SimpleITK", SimpleITK.__version__, "GDCM", gdcm.Version.GetVersion())
print(f"{ENCAPSULATED} is {ENCAPSULATED.name!r}; is_compressed {ENCAPSULATED.is_compressed}")
seen = {}
for name, transfer_syntax in (("native", ExplicitVRLittleEndian), ("encapsulated", ENCAPSULATED)):
    path = Path(sys.argv[1]) / f"{name}.dcm"
    image(path, transfer_syntax)
    seen[name] = {
        "pydicom": outcome(lambda: pydicom.dcmread(path).pixel_array),
        "SimpleITK": outcome(lambda: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).squeeze()),
        "GDCM": outcome(lambda: by_gdcm(path)),
    }
    print(f"{name:13}", seen[name])
dataset = pydicom.dcmread(Path(sys.argv[1]) / "encapsulated.dcm")
frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
assert np.array_equal(np.frombuffer(frame, "<u2").reshape(4, 6), VALUES)
print("the bytes of its frame, taken as they are: as stored")
assert set(seen["native"].values()) == {"as stored"}
assert seen["encapsulated"] == {"pydicom": "NotImplementedError", "SimpleITK": "RuntimeError", "GDCM": "ValueError"}
assert ENCAPSULATED.is_compressed
print("as described: read by none")
PY
