"""One table of codecs: the transfer syntaxes that are read, what decodes each, and what is particular to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import uid
from pydicom.pixels.decoders.base import Decoder, get_decoder

from cxreport.errors import MissingCodecError, TooLargeError, UnreadableFileError, lacks_memory
from cxreport.reading.dicom.codestream import (
    is_jpeg2000,
    is_sound_rle,
    jpeg_header,
    precision_of,
    rle_is_excessive,
    rle_precision,
)
from cxreport.reading.dicom.reduced_size import reduced_jpeg, reduced_jpeg2000
from cxreport.reading.dicom.restated import Restated, widened_lossless, without_zeros
from cxreport.reading.grey import Integers
from cxreport.reading.processes.muted_libraries import quiet

PixelOptions = dict[str, Any]
"""Image Pixel attributes (PS3.3 C.7.6.3) under the names that pydicom's decoders give them."""
_DAMAGED_HINT = "The file is damaged: get another copy of it."
_ANY_DECODER = "pylibjpeg[all]"
_ENCAPSULATED_UNCOMPRESSED = uid.UID("1.2.840.10008.1.2.1.98")  # PS3.5 A.4.11; pydicom has no constant for it


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A family of transfer syntaxes (PS3.5 Annex A) that are decoded alike."""

    name: str
    """As `cxreport info` and the documentation have it."""
    transfer_syntaxes: tuple[uid.UID, ...]
    package: str = ""
    """Distribution to install where there is no decoder; empty where pydicom itself decodes."""
    plugin: str = ""
    """pydicom's plugin to prefer where it is installed; empty leaves the order to pydicom."""
    is_sound: Callable[[bytes, PixelOptions], bool] | None = None
    """Check of a frame before the preferred plugin decodes it; pydicom's own decoder takes frames that fail it."""
    reduce: Callable[[bytes, PixelOptions, int], Integers | None] | None = None
    """Decodes a frame at a fraction of its size, see `reduced_size`; None where the compression has no such thing."""
    restate: Callable[[bytes, bool], Restated | None] | None = None
    """Puts a frame, of signed samples or not, in a form that the decoder reads right, see `restated`; None for a frame
    that needs none."""
    spare_frames: Callable[[bytes], Iterator[bytes]] | None = None
    """Other forms of a frame that was refused, to be tried in their order."""
    precision: Callable[[bytes, int], int | None] = lambda frame, samples: precision_of(frame)
    """Bits per value that a frame with so many samples a pixel says it has; None where it does not say."""
    states_precision: bool = False
    """True for frames that state their own bits per value: values of no more than Bits Stored need no alignment."""
    states_size: bool = False
    """True for frames that state their own rows and columns, which must be those of the header."""
    frame_syntax: uid.UID | None = None
    """Native transfer syntax of a frame out of its fragments; None where frames are compressed, or in no fragments."""

    @property
    def is_available(self) -> bool:
        """True if a decoder is installed for each of the transfer syntaxes."""
        return all(self._decoder(transfer_syntax).is_available for transfer_syntax in self.transfer_syntaxes)

    def decoder(self, transfer_syntax: uid.UID) -> Any:
        """The `pydicom.pixels.Decoder` of one of the transfer syntaxes; its type hints lack options that it takes.

        Raises:
            MissingCodecError: no plugin for it is installed.
        """
        decoder = self._decoder(transfer_syntax)
        if not decoder.is_available:
            package = self.package or _ANY_DECODER
            message = f"{_name(transfer_syntax)} needs the package {package}."
            raise MissingCodecError(message, hint=f"pip install pylibjpeg {package}")
        return decoder

    def preferred_plugin(self, decoder: Decoder, frame: bytes, options: PixelOptions) -> str:
        """Name of the plugin to decode a frame with; empty for pydicom's order."""
        if self.is_sound is not None and not self.is_sound(frame, options):
            return "pydicom"
        return self.plugin if self.plugin in decoder.available_plugins else ""

    def decode_reduced(self, frame: bytes, options: PixelOptions, side: int | None) -> Integers | None:
        """Decode a monochrome frame with fewer pixels, where its compression allows it.

        What is left out is not looked at: damage there goes unnoticed. Frames that Pillow cannot decode are left to
        the full decoder to judge.

        Args:
            frame: the compressed data.
            options: the Image Pixel attributes.
            side: side of the square that the pixels are needed for; None wants every pixel.

        Returns:
            (h, w) stored values, with at least `shrink.KEPT` x side pixels along each axis; None where the full
            decoder has to do the work: another compression, nothing to leave out, a frame that does not fit its
            attributes, or damage.
        """
        if side is None or self.reduce is None:
            return None
        try:
            return self.reduce(frame, options, side)
        except Exception as error:  # Pillow's plugins raise anything on damage
            if lacks_memory(error):
                raise
            return None

    def _decoder(self, transfer_syntax: uid.UID) -> Decoder:
        return get_decoder(self.frame_syntax or transfer_syntax)


def _is_sound_rle(frame: bytes, options: PixelOptions) -> bool:
    """Check a frame for the fast decoder; one that no decoder should see is refused."""
    segments = options["samples_per_pixel"] * options["bits_allocated"] // 8
    length = options["rows"] * options["columns"]
    if is_sound_rle(frame, segments, length):
        return True
    if rle_is_excessive(frame, length):
        raise TooLargeError("The pixel data decodes to more than its header says.", hint=_DAMAGED_HINT)
    return False


def _native_lengths(options: PixelOptions) -> tuple[int, int]:
    """Bytes of a frame without compression, as it is and padded to an even number."""
    samples = options["rows"] * options["columns"] * options["samples_per_pixel"]
    length = samples * options["bits_allocated"] // 8
    return length, length + length % 2


CODECS = (
    Codec(
        name="uncompressed",
        transfer_syntaxes=(uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
    ),
    Codec(
        name="encapsulated uncompressed",
        transfer_syntaxes=(_ENCAPSULATED_UNCOMPRESSED,),
        frame_syntax=uid.ExplicitVRLittleEndian,
    ),
    Codec(name="deflated", transfer_syntaxes=(uid.DeflatedExplicitVRLittleEndian,)),
    Codec(
        name="RLE",
        transfer_syntaxes=(uid.RLELossless,),
        plugin="pylibjpeg",
        is_sound=_is_sound_rle,
        precision=rle_precision,
    ),
    Codec(
        name="JPEG baseline",
        transfer_syntaxes=(uid.JPEGBaseline8Bit,),
        package="pylibjpeg-libjpeg",
        reduce=reduced_jpeg,
        states_size=True,
    ),
    Codec(
        name="JPEG extended",
        transfer_syntaxes=(uid.JPEGExtended12Bit,),
        package="pylibjpeg-libjpeg",
        states_size=True,
    ),
    Codec(
        name="JPEG lossless",
        transfer_syntaxes=(uid.JPEGLossless, uid.JPEGLosslessSV1),
        package="pylibjpeg-libjpeg",
        restate=widened_lossless,
        states_size=True,
    ),
    Codec(
        name="JPEG-LS",
        transfer_syntaxes=(uid.JPEGLSLossless, uid.JPEGLSNearLossless),
        package="pyjpegls",
        plugin="pyjpegls",  # four times as fast as pylibjpeg-libjpeg
        spare_frames=without_zeros,
        states_precision=True,
        states_size=True,
    ),
    Codec(
        name="JPEG 2000",
        transfer_syntaxes=(uid.JPEG2000Lossless, uid.JPEG2000),
        package="pylibjpeg-openjpeg",
        reduce=reduced_jpeg2000,
        states_precision=True,
        states_size=True,
    ),
    Codec(
        name="HTJ2K",
        transfer_syntaxes=(uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
        package="pylibjpeg-openjpeg",
        reduce=reduced_jpeg2000,
        states_precision=True,
        states_size=True,
    ),
)
"""The table. A row makes its transfer syntaxes appear in `info`, in the documentation and in the tests."""
_DCT = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_WAVELET = (uid.JPEG2000, uid.JPEG2000Lossless, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)


def _is_process(*processes: int) -> Callable[[bytes, PixelOptions], bool]:
    return lambda frame, options: (header := jpeg_header(frame)) is not None and header.process in processes


_SIGNATURES: tuple[tuple[tuple[uid.UID, ...], Callable[[bytes, PixelOptions], bool]], ...] = (
    ((uid.JPEGLossless, uid.JPEGLosslessSV1), _is_process(0xC3)),
    ((uid.JPEGLSLossless, uid.JPEGLSNearLossless), _is_process(0xF7)),
    (_DCT, _is_process(0xC0)),
    (_DCT[::-1], _is_process(0xC1, 0xC2)),
    (_WAVELET, lambda frame, options: is_jpeg2000(frame)),
)
"""Transfer syntaxes that a frame fits, the first where another is stated, and how it is known."""
_WITHOUT_SIGNATURE: tuple[tuple[tuple[uid.UID, ...], Callable[[bytes, PixelOptions], bool]], ...] = (
    ((uid.RLELossless,), _is_sound_rle),
    ((_ENCAPSULATED_UNCOMPRESSED,), lambda frame, options: len(frame) in _native_lengths(options)),
)
"""Those that take more than a look to be known."""
_BY_SYNTAX = {transfer_syntax: codec for codec in CODECS for transfer_syntax in codec.transfer_syntaxes}
_NAMES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""Names (PS3.6 Annex A) of transfer syntaxes that pydicom may be too old to know."""


def codec_of(transfer_syntax: uid.UID) -> Codec:
    """The codec of a transfer syntax.

    Raises:
        UnreadableFileError: it is not supported; a registered one is named, another is not quoted.
    """
    codec = _BY_SYNTAX.get(transfer_syntax)
    if codec is None:
        raise UnreadableFileError(f"The transfer syntax is not supported: {_name(transfer_syntax)}.")
    return codec


def syntax_of(frame: bytes, stated: uid.UID, options: PixelOptions) -> uid.UID:
    """Transfer syntax of a frame out of its fragments, by what the frame says of itself.

    Args:
        frame: the compressed data.
        stated: the transfer syntax of the file.
        options: the Image Pixel attributes.

    Returns:
        The stated one where it fits, or where the frame says nothing.

    Raises:
        UnreadableFileError: a native one is stated, and the frame says nothing.
    """
    for fitting, is_one in _SIGNATURES if stated.is_encapsulated else (*_SIGNATURES, *_WITHOUT_SIGNATURE):
        if is_one(frame, options):
            return stated if stated in fitting else fitting[0]
    if not stated.is_encapsulated:
        message = f"The pixel data is encapsulated, but the transfer syntax is {_name(stated)}: its codec is not known."
        raise UnreadableFileError(message)
    return stated


def change_of_syntax(actual: uid.UID, stated: uid.UID) -> str:
    """Note on pixels in another transfer syntax than the stated one."""
    return f"Pixels decoded as {_name(actual)}, which they are; the transfer syntax stated is {_name(stated)}."


def decoders_present() -> dict[str, bool]:
    """Family of transfer syntaxes -> True if a decoder is installed for each of them."""
    with quiet():
        return {codec.name: codec.is_available for codec in CODECS}


def codec_rows() -> list[tuple[str, str, str, str]]:
    """Rows of the table in the documentation.

    Returns:
        Family, UIDs of its transfer syntaxes, the package that decodes it, and yes or no: decoded at a reduced size.
    """
    return [
        (
            codec.name,
            ", ".join(codec.transfer_syntaxes),
            codec.package or "pydicom",
            "yes" if codec.reduce is not None else "no",
        )
        for codec in CODECS
    ]


def _name(transfer_syntax: uid.UID) -> str:
    """Registered name; the UID of another may be anything, and is not quoted."""
    name = _NAMES.get(transfer_syntax, transfer_syntax.name)
    return name if name != str(transfer_syntax) else "of an unknown kind"
