"""Draw chest phantoms and write them as PNG and as DICOM in several encodings.

They are drawings: ellipses for lungs, heart and ribs, with noise. They show that files are read, not that reports are
right. Run with ``python examples/make_phantoms.py [FOLDER]``; the same files come out each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

SIZE = 256
MAXIMUM = 4095

Image01 = NDArray[np.float64]


def main(folder: Path) -> None:
    """Write all phantoms into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_png8(folder / "normal-8bit.png", frontal(seed=1))
    write_png16(folder / "large-heart-16bit.png", frontal(seed=2, heart=1.35))
    write_dicom(folder / "explicit-le.dcm", frontal(seed=3))
    write_dicom(folder / "monochrome1.dcm", frontal(seed=4, fluid=0.5), photometric="MONOCHROME1")
    write_dicom(folder / "deflated.dcm", frontal(seed=5, heart=1.35), DeflatedExplicitVRLittleEndian)
    write_dicom(folder / "rle.dcm", frontal(seed=6, fluid=0.7), RLELossless)
    write_dicom(folder / "j2k-pa.dcm", frontal(seed=7), JPEG2000Lossless, study="two-views")
    write_dicom(folder / "j2k-lateral.dcm", lateral(seed=8), JPEG2000Lossless, study="two-views", position="LL")


def frontal(seed: int, heart: float = 1.0, fluid: float = 0.0) -> Image01:
    """Draw a frontal chest.

    Args:
        seed: of the noise.
        heart: width of the heart; 1 is normal.
        fluid: height of fluid over the left base, as a share of the lung.

    Returns:
        (SIZE, SIZE), 0 = black = air.
    """
    x, y = grid()
    picture = 0.75 * ellipse(x, y, (0.5, 0.62), (0.46, 0.62))
    lungs = np.maximum(ellipse(x, y, (0.3, 0.5), (0.15, 0.33)), ellipse(x, y, (0.7, 0.5), (0.15, 0.33)))
    picture -= 0.5 * lungs
    for rib in range(9):
        top = 0.2 + 0.07 * rib
        for side in (0.3, 0.7):
            ring = np.abs(np.hypot((x - side) / 0.19, (y - top - 0.05) / 0.07) - 1)
            picture += 0.10 * np.exp(-((ring / 0.09) ** 2)) * (y < top + 0.06) * lungs
    for side in (0.32, 0.68):
        collar = y - 0.16 - 0.25 * np.abs(x - side)
        picture += 0.15 * np.exp(-((collar / 0.016) ** 2)) * (np.abs(x - side) < 0.17)
    picture = np.maximum(picture, 0.80 * ellipse(x, y, (0.5, 0.5), (0.05, 0.6)))
    picture = np.maximum(picture, 0.78 * ellipse(x, y, (0.56, 0.65), (0.15 * heart, 0.16)))
    picture = np.maximum(picture, 0.82 * ellipse(x, y, (0.3, 0.93), (0.2, 0.16)))
    picture = np.maximum(picture, 0.82 * ellipse(x, y, (0.72, 0.95), (0.2, 0.16)))
    level = 0.83 - 0.66 * fluid + 0.3 * (x - 0.7) ** 2
    picture = np.maximum(picture, 0.78 * soft((y - level) / 0.02) * ellipse(x, y, (0.7, 0.5), (0.16, 0.36)))
    return grain(picture, seed)


def lateral(seed: int) -> Image01:
    """Draw a lateral chest."""
    x, y = grid()
    picture = 0.7 * ellipse(x, y, (0.5, 0.6), (0.36, 0.6)) - 0.42 * ellipse(x, y, (0.5, 0.48), (0.24, 0.32))
    picture = np.maximum(picture, 0.8 * ellipse(x, y, (0.78, 0.55), (0.05, 0.55)))
    picture = np.maximum(picture, 0.72 * ellipse(x, y, (0.38, 0.62), (0.14, 0.15)))
    return grain(picture, seed)


def grid() -> tuple[Image01, Image01]:
    """Give every pixel its place, from 0 to 1 across and down."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    return x, y


def ellipse(x: Image01, y: Image01, centre: tuple[float, float], radii: tuple[float, float]) -> Image01:
    """Draw an ellipse with a soft edge."""
    radius = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return soft((1 - radius) / 0.06)


def soft(distance: Image01) -> Image01:
    """Go from 0 to 1 around 0."""
    return 1 / (1 + np.exp(-np.clip(distance, -50, 50)))


def grain(picture: Image01, seed: int) -> Image01:
    """Add noise."""
    noise = np.random.default_rng(seed).normal(0, 0.012, picture.shape)
    return np.clip(0.06 + 0.9 * picture + noise, 0, 1)


def write_png8(path: Path, picture: Image01) -> None:
    """Write an 8-bit PNG."""
    Image.fromarray((255 * picture).round().astype(np.uint8)).save(path, optimize=True)


def write_png16(path: Path, picture: Image01) -> None:
    """Write a 16-bit PNG."""
    Image.fromarray((65535 * picture).round().astype(np.uint16)).save(path, optimize=True)


def write_dicom(
    path: Path,
    picture: Image01,
    transfer_syntax: str = ExplicitVRLittleEndian,
    photometric: str = "MONOCHROME2",
    study: str = "",
    position: str = "PA",
) -> None:
    """Write a 12-bit computed radiograph; ``study`` is the name of a study of several files."""
    stored = (MAXIMUM * picture).round().astype("<u2")
    if photometric == "MONOCHROME1":
        stored = MAXIMUM - stored
    data = Dataset()
    data.SOPClassUID = ComputedRadiographyImageStorage
    data.SOPInstanceUID = uid("instance", path.stem)
    data.StudyInstanceUID = uid("study", study or path.stem)
    data.SeriesInstanceUID = uid("series", path.stem)
    data.PatientName = "Phantom^Drawn"
    data.PatientID = "PHANTOM"
    data.Modality = "CR"
    data.BodyPartExamined = "CHEST"
    data.ViewPosition = position
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = photometric
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = (MAXIMUM + 1) / 2, MAXIMUM + 1
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if transfer_syntax in (RLELossless, JPEG2000Lossless):
        data.compress(transfer_syntax, generate_instance_uid=False)
    else:
        data.file_meta.TransferSyntaxUID = transfer_syntax
    data.save_as(path, enforce_file_format=True)


def uid(*names: str) -> str:
    """Make a UID that depends on these names only."""
    return generate_uid(entropy_srcs=["cxreport phantom", *names])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "phantoms")
