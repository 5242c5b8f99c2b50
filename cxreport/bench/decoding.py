"""Decoding by encoding: the bare codec on bytes in memory, and the way from a file to the network's input."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import get_frame

from cxreport.bench.spread import Spread, Times, mean, mean_times, measure
from cxreport.bench.studies import SYNTAXES, Kind
from cxreport.bench.workload import network_inputs
from cxreport.model.manifest import Manifest
from cxreport.reading.dicom.codecs import codec_of
from cxreport.reading.discover import FileKind, sniff
from cxreport.reading.shrink import KEPT

_SAMPLES = 3
"""Files of a kind that are timed."""
_NAMES = {syntax: str(kind) for kind, syntax in SYNTAXES.items()} | {
    uid.ImplicitVRLittleEndian: str(Kind.RAW),
    uid.JPEG2000: str(Kind.J2K),
}
_Codec = Callable[[int | None], object]
"""Decodes bytes in memory, for a side in pixels or every pixel."""


@dataclass(frozen=True)
class DecodeTimes:
    """Of one image of a kind, in milliseconds."""

    kind: str
    studies: int
    """Of this kind."""
    full: Times
    """The codec, every pixel."""
    shrunk: Times
    """The codec, as the readers use it: fewer pixels where the compression allows it."""
    file_to_input: Spread
    """Finding, reading, decoding, window and resizing, as the readers do it."""
    file_to_input_full: Spread
    """The same with every pixel decoded."""


def measure_decoding(sources: Sequence[str], manifest: Manifest, repeats: int) -> tuple[DecodeTimes, ...]:
    """Time every kind of file on a few of its files.

    Args:
        sources: the image of each study.
        manifest: what the network takes.
        repeats: of every measurement.
    """
    by_kind: dict[str, list[str]] = {}
    for source in sources:
        if (kind := _kind(source)) is not None:
            by_kind.setdefault(kind, []).append(source)
    found = (_measure(kind, some, manifest, repeats) for kind, some in sorted(by_kind.items()))
    return tuple(times for times in found if times is not None)


def _measure(kind: str, sources: list[str], manifest: Manifest, repeats: int) -> DecodeTimes | None:
    """Time a few files of a kind; None where all are damaged."""
    whole = (source for source in sources if network_inputs(manifest, [Path(source)]))
    side, some = manifest.image_size, list(islice(whole, _SAMPLES))
    if not some:
        return None
    codecs = [_codec(source) for source in some]
    return DecodeTimes(
        kind,
        len(sources),
        mean_times([measure(partial(codec, None), repeats) for codec in codecs]),
        mean_times([measure(partial(codec, side), repeats) for codec in codecs]),
        mean([measure(partial(network_inputs, manifest, [Path(s)]), repeats).wall_ms for s in some]),
        mean([measure(partial(network_inputs, manifest, [Path(s)], True), repeats).wall_ms for s in some]),
    )


def _kind(source: str) -> str | None:
    """Name of a file's encoding; None for a file that cannot be read, which the other parts count as a failure."""
    try:
        if sniff(source) is not FileKind.DICOM:
            with Image.open(source) as image:
                return str(image.format).lower()
        syntax = dcmread(source, stop_before_pixels=True).file_meta.TransferSyntaxUID
    except Exception:  # pydicom and Pillow raise anything on damage
        return None
    return _NAMES.get(syntax, str(syntax.name))


def _codec(source: str) -> _Codec:
    """What decodes a file's pixels, with the compressed bytes in memory."""
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
