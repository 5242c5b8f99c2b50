"""Parts of a benchmark and encodings of generated files, as the command line names them; loads nothing else."""

from __future__ import annotations

import enum


class Part(enum.StrEnum):
    """Parts of a benchmark, in the order in which they run."""

    STAGES = "stages"
    """Stage by stage, in one process."""
    DECODING = "decoding"
    """Codecs, and the way from files to the network's input."""
    KERNELS = "kernels"
    """The networks alone."""
    WALL = "wall"
    """All studies, end to end."""
    EAGER = "eager"
    """Eager PyTorch beside the program."""
    PEERS = "peers"
    """Other programs beside this one, where that is asked for."""
    MEMORY = "memory"
    """Peak memory of many studies and of few."""
    START = "start"
    """Fresh processes."""


class FileEncoding(enum.StrEnum):
    """Encodings of generated files."""

    RAW = "raw"
    """DICOM, explicit little endian, as are the others: 12 bits in 16."""
    RLE = "rle"
    J2K = "j2k"
    """JPEG 2000, lossless."""
    JPEG_LS = "jpeg-ls"
    PNG = "png"
    """A picture of 8 bits."""
    JPEG = "jpeg"
    """A picture of 8 bits."""
