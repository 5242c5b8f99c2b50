"""Makes synthetic DICOM files in the encodings that can be written with pydicom, pylibjpeg and Pillow alone."""

from __future__ import annotations

import base64
import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

ENCODINGS = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "encapsulated": uid.UID("1.2.840.10008.1.2.1.98"),
    "big-endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg2000-lossless": uid.JPEG2000Lossless,
    "jpeg-baseline": uid.JPEGBaseline8Bit,
}
"""Name -> transfer syntax of what `make_dataset` can write; jpeg-baseline is lossy and takes 8-bit pixels only."""
LOSSLESS = tuple(name for name in ENCODINGS if name != "jpeg-baseline")

_REAL_SAMPLES = {
    uid.ExplicitVRBigEndian: "MR_small_expb.dcm",
    uid.JPEGExtended12Bit: "JPGExtended.dcm",
    uid.JPEGLosslessSV1: "JPEG-LL.dcm",
    uid.JPEGLSLossless: "MR_small_jpeg_ls_lossless.dcm",
    uid.JPEGLSNearLossless: "JPEGLSNearLossless_16.dcm",
    uid.JPEG2000: "RG1_J2KI.dcm",
}

# 24 x 16 ramp encoded by OpenJPH 0.26 (reversible): nothing that is installed here can write HTJ2K
HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAGAAAAAAAAAAAAAAAEAAAABgAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQ"
    "iIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAJcAAf+TwAAm2fQFB3QAwAATABT0A4d0AMAAE8AAEoDaavsCC3QAqQEHdADAABUwAATg"
    "bGxsAGIxgnYAWMXqgKK0AMAAFZAABVgymUwmk/26enECdgCiihIl6uhCAey2AMAALTgABaiO4ziO4ziO4zjn6np6enpwgnoAKlVUVFRUVFT+/zAMYHv2"
    "MYHsuwD/2Q=="
)
HTJ2K_PIXELS = np.add.outer(np.arange(24) * 150, np.arange(16) * 40).astype("uint16")
"""What the frame above decodes to."""


def make_dataset(
    pixels: NDArray[Any],
    *,
    encoding: str = "explicit",
    bits_stored: int | None = None,
    photometric: str | None = None,
    **attributes: Any,
) -> Dataset:
    """Make a computed-radiography instance.

    Args:
        pixels: (H, W), (F, H, W), (H, W, 3) or (F, H, W, 3) integers; the type sets Bits Allocated and the sign.
        encoding: key of `ENCODINGS`.
        bits_stored: defaults to the width of the type.
        photometric: defaults to MONOCHROME2, or RGB for three channels.
        **attributes: further attributes by keyword, over the defaults; None takes one away.

    Returns:
        A data set with file meta information, ready for `save`.
    """
    color = pixels.ndim > 2 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 + color else 1
    rows, columns = pixels.shape[-3:-1] if color else pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    dataset = Dataset()
    dataset.SOPClassUID = uid.ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = uid.generate_uid()
    dataset.StudyInstanceUID = uid.generate_uid()
    dataset.SeriesInstanceUID = uid.generate_uid()
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientName = "Phantom^Drawn"
    dataset.PatientID = "PHANTOM"
    dataset.SamplesPerPixel = 3 if color else 1
    dataset.PhotometricInterpretation = photometric or ("RGB" if color else "MONOCHROME2")
    if color:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = int(rows), int(columns)
    dataset.BitsAllocated = bits
    dataset.BitsStored = bits_stored or bits
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    _set_pixels(dataset, pixels, encoding, frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break the rules are wanted here
        for keyword, value in attributes.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path, *, preamble: bool = True) -> Path:
    """Write a data set.

    Args:
        dataset: from `make_dataset`.
        path: where to.
        preamble: False leaves out preamble and file meta information (PS3.10 7), as old archives do.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = dataset.file_meta
    syntax = meta.TransferSyntaxUID
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if preamble:
            meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", uid.ComputedRadiographyImageStorage)
            meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "") or uid.generate_uid()
            dataset.save_as(path, enforce_file_format=True)
        else:
            dataset.file_meta = FileMetaDataset()
            dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
            dataset.file_meta = meta
    return path


def phantom(rows: int = 96, columns: int = 80, *, white: int = 4095, dtype: str = "uint16") -> NDArray[Any]:
    """Draw two dark lungs in a bright body on black air.

    Args:
        rows: height.
        columns: width.
        white: the brightest value.
        dtype: type of the pixels.

    Returns:
        (rows, columns) pixels.
    """
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    image = np.where((x / 0.9) ** 2 + (y / 0.97) ** 2 < 1, 0.75, 0.0)
    for side in (-1, 1):
        image[((x - side * 0.42) / 0.32) ** 2 + ((y + 0.1) / 0.62) ** 2 < 1] = 0.25
    image[np.abs(x) < 0.08] = np.maximum(image[np.abs(x) < 0.08], 0.9)
    image += 0.1 * (y + 1) / 2
    return np.rint(np.clip(image, 0, 1) * white).astype(dtype)


def real(name: str) -> Path:
    """A file that comes with pydicom or pydicom-data; nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(str(path))


def encapsulated(frame: bytes, transfer_syntax: uid.UID, pixels: NDArray[Any], **attributes: Any) -> Dataset:
    """Make an instance around a compressed frame of pixels like these, for encodings that `make_dataset` lacks."""
    dataset = make_dataset(pixels, **attributes)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    return dataset


def sample(transfer_syntax: uid.UID, path: Path) -> Path:
    """Write or find an image in a transfer syntax that is read.

    Args:
        transfer_syntax: of the table in `cxreport.reading.dicom.codecs`; a new row needs a sample here.
        path: where to.
    """
    if transfer_syntax in _REAL_SAMPLES:
        return real(_REAL_SAMPLES[transfer_syntax])
    if transfer_syntax == uid.JPEGLossless:  # Process 14 with selection value 1 (.70) is also a Process 14 (.57) stream
        dataset = dcmread(real(_REAL_SAMPLES[uid.JPEGLosslessSV1]))
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
        dataset.save_as(path)
        return path
    if transfer_syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K):
        return save(encapsulated(HTJ2K, transfer_syntax, HTJ2K_PIXELS), path)
    (encoding,) = (name for name, syntax in ENCODINGS.items() if syntax == transfer_syntax)
    return save(make_dataset(phantom(white=255, dtype="uint8"), encoding=encoding), path)


def lossless_jpeg(
    pixels: NDArray[Any], precision: int, *, predictor: int = 1, as_signed: bool = False, shift: int = 0
) -> bytes:
    """Encode a JPEG lossless frame, process 14 (ISO/IEC 10918-1 Annex H), which nothing that is installed writes.

    Args:
        pixels: (H, W) unsigned.
        precision: bits of each.
        predictor: selection value, 1 to 7.
        as_signed: take samples for signed numbers before they are predicted, as some encoders do.
        shift: point transform; low bits that are left out.
    """
    depth = precision - shift
    values = pixels.astype(np.int64) >> shift
    first = 1 << depth - 1
    if as_signed:
        values, first = np.where(values >= first, values - (1 << depth), values), first - (1 << depth)
    padded = np.pad(values, ((1, 0), (1, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    prediction = (
        *(left, above, corner, left + above - corner),
        *(left + (above - corner >> 1), above + (left - corner >> 1), left + above >> 1),
    )[predictor - 1].copy()
    prediction[0], prediction[1:, 0] = left[0], above[1:, 0]
    prediction[0, 0] = first
    words = []
    differences = (values - prediction + 32767) % 65536 - 32767
    for difference in differences.ravel().tolist():
        category = abs(difference).bit_length()
        words.append(f"{category:05b}")  # 17 codes of 5 bits: the code is the category
        if 0 < category < 16:
            words.append(f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}")
    text = "".join(words)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    head = struct.pack(">BHHBBBB", precision, *pixels.shape, 1, 1, 0x11, 0)
    table = bytes([0, *[0] * 4, 17, *[0] * 11, *range(17)])
    segments = ((0xC3, head), (0xC4, table), (0xDA, bytes([1, 1, 0, predictor, 0, shift])))
    content = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return b"\xff\xd8" + content + scan + b"\xff\xd9"


def jpeg_ls(pixels: NDArray[Any], stored: int) -> bytes:
    """Encode a JPEG-LS frame, (H, W) of unsigned integers, without loss."""
    from jpeg_ls import encode_pixel_data

    sizes = {"rows": pixels.shape[0], "columns": pixels.shape[1], "samples_per_pixel": 1}
    depth = {"bits_allocated": pixels.itemsize * 8, "bits_stored": stored}
    return bytes(
        encode_pixel_data(
            pixels.tobytes(),
            lossy_error=0,
            photometric_interpretation="MONOCHROME2",
            interleave_mode=0,
            **sizes,
            **depth,
        )
    )


def jpeg(pixels: NDArray[Any]) -> bytes:
    """Encode a baseline JPEG frame, (H, W) of 8 bits."""
    return _jpeg(pixels)


def _set_pixels(dataset: Dataset, pixels: NDArray[Any], encoding: str, frames: int) -> None:
    syntax = ENCODINGS[encoding]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    if encoding == "jpeg-baseline":
        stack = pixels if frames > 1 else pixels[np.newaxis]
        dataset.PixelData = encapsulate([_jpeg(frame) for frame in stack])
        dataset["PixelData"].VR = "OB"
        dataset.LossyImageCompression = "01"
        if dataset.SamplesPerPixel == 3:
            dataset.PhotometricInterpretation = "YBR_FULL_422"
    elif encoding == "encapsulated":
        stack = pixels if frames > 1 else pixels[np.newaxis]
        dataset.PixelData = encapsulate([frame.astype(frame.dtype.newbyteorder("<")).tobytes() for frame in stack])
        dataset["PixelData"].VR = "OB"
    elif encoding in ("rle", "jpeg2000-lossless"):
        dataset.PixelData = pixels.tobytes()
        if encoding == "jpeg2000-lossless" and dataset.SamplesPerPixel == 3:
            dataset.PhotometricInterpretation = "YBR_RCT"
        dataset.compress(syntax, pixels, generate_instance_uid=False)
    else:
        order = ">" if encoding == "big-endian" else "<"
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        if len(dataset.PixelData) % 2:
            dataset.PixelData += b"\0"
        dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    dataset.file_meta.TransferSyntaxUID = syntax


def _jpeg(frame: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
