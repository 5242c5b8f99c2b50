"""Architectures, precisions, devices and parts of a benchmark, a table each, which commands, manifests and tests read.

Without numpy, so that ``--help`` and the schema of records answer at once.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple, Self


class ArchitectureRow(NamedTuple):
    """Row of the architectures."""

    name: str
    steps: tuple[str, ...]
    """Graphs that a bundle has for it, beside the encoder."""
    attends_to: tuple[str, ...]
    """Inputs that it weighs anew at each step: ``patches`` of the image, semantic features of the ``tags``."""
    output: str
    """Text that it writes, for documentation."""
    source: str
    """Paper, for documentation."""


class _NamedRows(enum.StrEnum):
    """Base of the enumerations whose members are rows: a member's value is the name of its row."""

    def __new__(cls, name: str, *_: Any) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        return member


class Architecture(_NamedRows):
    """Networks that write a report, by their names in bundles, recipes and on the command line."""

    def __init__(self, *fields: Any) -> None:
        self.row = ArchitectureRow(*fields)

    CO_ATTENTION = ArchitectureRow(
        name="co-attention",
        steps=("sentence_step", "word_step"),
        attends_to=("patches", "tags"),
        output="topics from patches and semantic features, a sentence each",
        source="Jing et al. 2018",
    )
    VISUAL_ONLY = ArchitectureRow(
        name="visual-only",
        steps=("sentence_step", "word_step"),
        attends_to=("patches",),
        output="the same from patches alone",
        source="ablation of Jing et al. 2018",
    )
    SEMANTIC_ONLY = ArchitectureRow(
        name="semantic-only",
        steps=("sentence_step", "word_step"),
        attends_to=("tags",),
        output="the same from semantic features alone",
        source="ablation of Jing et al. 2018",
    )
    NO_ATTENTION = ArchitectureRow(
        name="no-attention",
        steps=("sentence_step", "word_step"),
        attends_to=(),
        output="the same from the mean patch",
        source="ablation of Jing et al. 2018",
    )
    CNN_RNN = ArchitectureRow(
        name="cnn-rnn",
        steps=("caption_step",),
        attends_to=(),
        output="one sequence of words, from the mean patch",
        source="Vinyals et al. 2015",
    )
    SOFT_ATTENTION = ArchitectureRow(
        name="soft-attention",
        steps=("caption_step",),
        attends_to=("patches",),
        output="one sequence of words, attending to the patches at each",
        source="Xu et al. 2015",
    )

    @property
    def captioning(self) -> bool:
        """True if a report is one sequence of words, without plan and topics."""
        return "caption_step" in self.row.steps


class Device(enum.StrEnum):
    """Hardware that the networks run on."""

    AUTO = "auto"
    """CUDA where it works, else the CPU."""
    CPU = "cpu"
    CUDA = "cuda"


class PrecisionRow(NamedTuple):
    """Row of the precisions."""

    name: str
    folder: str = ""
    """Folder of a bundle of its own inside the float bundle."""
    encoder: str = ""
    """Graph of the float bundle that takes the place of its encoder."""
    devices: tuple[Device, ...] = (Device.CPU, Device.CUDA)


class Precision(_NamedRows):
    """Numbers that the networks compute with."""

    def __init__(self, *fields: Any) -> None:
        self.row = PrecisionRow(*fields)

    AUTO = PrecisionRow(name="auto")
    """The one that suits the machine: `model.precision` chooses."""
    FLOAT32 = PrecisionRow(name="float32")
    INT8 = PrecisionRow(name="int8", folder="int8")
    """Weights and activations of 8 bits."""
    FLOAT16 = PrecisionRow(name="float16", encoder="encoder_fp16", devices=(Device.CUDA,))
    """The encoder in half precision."""

    @property
    def gpu_only(self) -> bool:
        """True if the CPU does not run it."""
        return Device.CPU not in self.row.devices


class BenchPart(enum.StrEnum):
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
    GROWTH = "growth"
    """Cost at one size after another, where that is asked for."""
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


CAPTIONING = tuple(a for a in Architecture if a.captioning)
PRECISIONS = tuple(p for p in Precision if p is not Precision.AUTO)
