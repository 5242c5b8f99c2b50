"""Times of decoding by encoding: the bare codec on bytes in memory, and the way from a file to network input."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame

from cxreport.bench.spread import Spread, Times, mean, mean_times, measure
from cxreport.bench.studies import TRANSFER_SYNTAXES
from cxreport.bench.workload import network_inputs
from cxreport.model.manifest import Manifest
from cxreport.reading.dicom.codecs import codec_of
from cxreport.reading.discover import FileKind, sniff
from cxreport.reading.shrink import KEPT

_SAMPLES = 3
"""Files of an encoding that are timed."""
_NAMES = {codec_of(syntax).name: str(encoding) for encoding, syntax in TRANSFER_SYNTAXES.items()}
"""Codec -> the short name that generated studies have for it."""
_Decode = Callable[[int | None], object]
"""Function that decodes bytes in memory, for a side in pixels or every pixel."""


@dataclass(frozen=True)
class DecodeTimes:
    """Times of one image of an encoding, in milliseconds."""

    kind: str
    """Name of the encoding."""
    studies: int
    """Studies of this encoding."""
    full: Times
    """The codec, every pixel."""
    shrunk: Times
    """The codec, as the readers use it: fewer pixels where the compression allows it."""
    file_to_input: Spread
    """Finding, reading, decoding, window and resizing, as the readers do it."""
    file_to_input_full: Spread
    """The same with every pixel decoded."""


def measure_decoding(sources: Sequence[str], manifest: Manifest, repeats: int) -> tuple[DecodeTimes, ...]:
    """Time every encoding on a few of its files.

    Args:
        sources: the image of each study.
        manifest: what the network takes.
        repeats: of every measurement.
    """
    by_encoding: dict[str, list[str]] = {}
    for source in sources:
        if (encoding := _encoding(source)) is not None:
            by_encoding.setdefault(encoding, []).append(source)
    measured = (_measure(encoding, files, manifest, repeats) for encoding, files in sorted(by_encoding.items()))
    return tuple(times for times in measured if times is not None)


def _measure(encoding: str, sources: list[str], manifest: Manifest, repeats: int) -> DecodeTimes | None:
    """Time a few files of an encoding; None where all are damaged."""
    readable = (source for source in sources if network_inputs(manifest, [Path(source)]))
    sample = list(islice(readable, _SAMPLES))
    if not sample:
        return None
    decoders = [_decoder(source) for source in sample]
    return DecodeTimes(
        kind=encoding,
        studies=len(sources),
        full=mean_times([measure(partial(decode, None), repeats) for decode in decoders]),
        shrunk=mean_times([measure(partial(decode, manifest.image_size), repeats) for decode in decoders]),
        file_to_input=mean([_file_to_input(source, manifest, repeats) for source in sample]),
        file_to_input_full=mean([_file_to_input(source, manifest, repeats, every_pixel=True) for source in sample]),
    )


def _file_to_input(source: str, manifest: Manifest, repeats: int, *, every_pixel: bool = False) -> Spread:
    return measure(partial(network_inputs, manifest, [Path(source)], every_pixel), repeats).wall_ms


def _encoding(source: str) -> str | None:
    """Name of a file's encoding; None for a file that cannot be read, which the other parts count as a failure."""
    try:
        if sniff(source) is not FileKind.DICOM:
            with Image.open(source) as image:
                return str(image.format).lower()
        codec = codec_of(dcmread(source, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    except Exception:  # pydicom and Pillow raise anything on damage
        return None
    return _NAMES.get(codec.name, codec.name)


def _decoder(source: str) -> _Decode:
    """Decoder of a file's pixels, with the compressed bytes in memory."""
    if sniff(source) is not FileKind.DICOM:
        return partial(_decode_picture, Path(source).read_bytes())
    dataset = dcmread(source)
    syntax = dataset.file_meta.TransferSyntaxUID
    codec = codec_of(syntax)
    decoder = codec.decoder(syntax)
    full = partial(decoder.as_array, dataset, index=0, raw=True, view_only=True)
    if not syntax.is_encapsulated:
        return lambda side: full()
    frame = get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames", 1)))
    if codec.frame_syntax is not None:  # uncompressed: the fragment holds the pixels
        return lambda side: np.frombuffer(frame, np.uint8)
    options: dict[str, Any] = {
        "rows": dataset.Rows,
        "columns": dataset.Columns,
        "samples_per_pixel": dataset.SamplesPerPixel,
        "bits_allocated": dataset.BitsAllocated,
        "bits_stored": dataset.BitsStored,
        "pixel_representation": dataset.PixelRepresentation,
    }
    full.keywords["decoding_plugin"] = codec.preferred_plugin(decoder, frame, options)
    if codec.decode_reduced(frame, options, 1) is None:
        return lambda side: full()

    def decode(side: int | None) -> object:
        reduced = codec.decode_reduced(frame, options, side)
        return full() if reduced is None else reduced

    return decode


def _decode_picture(content: bytes, side: int | None) -> None:
    with Image.open(io.BytesIO(content)) as image:
        if side is not None:
            image.draft(None, (KEPT * side, KEPT * side))
        image.load()
