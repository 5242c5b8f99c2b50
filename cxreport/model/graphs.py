"""Graphs of a bundle as functions of arrays, whatever sessions run them, with the types of their inputs and outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import BundleError
from cxreport.model.choices import Device
from cxreport.model.manifest import ENCODER, TEXT_ENCODER, WORD_SEARCH, Manifest
from cxreport.model.signatures import signatures
from cxreport.types import Floats, Grey

Arrays = list[NDArray[Any]]

_ROWS: dict[Device, dict[str, int]] = {
    Device.CPU: {"encoder": 1},
    Device.CUDA: {
        "encoder": 16,
        "sentence_step": 16,
        "word_step": 128,
        WORD_SEARCH: 128,
        "caption_step": 16,
        "text_encoder": 16,
    },
}
"""Rows of every call by device and graph; any number from `_MIN_ROWS` where there is none."""
_MIN_ROWS = 2


class EncoderOutput(NamedTuple):
    """Output of the encoder for B images."""

    patches: Floats
    """(B, P, D)"""
    probabilities: Floats
    """(B, T)"""
    embedding: Floats
    """(B, E) unit vectors."""
    distance: Floats
    """(B,) from the training images."""
    patch_embeddings: Floats | None = None
    """(B, P', E); None where the bundle has no text encoder."""


class StudyInput(NamedTuple):
    """Input of the sentence steps that stays the same until the report ends, in the order of the graph's ports."""

    patches: Floats
    """(B, P, D); zeros (B, 1, D) without images."""
    has_image: Floats
    """(B,) 1 or 0."""
    tags: Floats
    """(B, R) probability of each positive reporting tag, 0 where negative."""
    unusual: Floats
    """(B, R) standard score of the evidence of each reporting tag."""


class TopicInput(NamedTuple):
    """Input of a sentence step that says what its sentence is about, in the order of the graph's ports."""

    plan: Floats
    """(B, R) 1 for the tags that the sentence states, -1 for those it denies; zeros for a free topic."""
    detail: Floats
    """(B, D) 1 for each `Detail` of the tags that it states."""
    section: NDArray[np.int64]
    """(B,) 0 Findings, 1 Impression."""


class SentenceOutput(NamedTuple):
    """Output of a sentence step for B studies."""

    topic: Floats
    """(B, H)"""
    stop: Floats
    """(B,) probability that the report ends after this sentence."""
    section_next: Floats
    """(B,) probability that the next sentence belongs to the Impression."""
    attention: Floats
    """(B, P)"""
    hidden: Floats
    cell: Floats


class WordOutput(NamedTuple):
    """Output of a word step for N sentences."""

    log_probabilities: Floats
    """(N, V) of the next word."""
    hidden: Floats
    cell: Floats


class CaptionOutput(NamedTuple):
    """Output of a step of a captioning architecture for N reports."""

    log_probabilities: Floats
    """(N, V)"""
    attention: Floats | None
    """(N, P); None where the architecture does not attend."""
    hidden: Floats
    cell: Floats


class Session(Protocol):
    """A loaded graph, as ONNX Runtime has it."""

    def get_inputs(self) -> Sequence[Any]:
        """Inputs, with name, type and shape."""

    def get_outputs(self) -> Sequence[Any]:
        """Outputs likewise."""

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs of the graph, from host to host."""


class Graphs:
    """The graphs of a bundle as functions of arrays."""

    def __init__(self, manifest: Manifest, device: Device, sessions: Mapping[str, Session], streams: int = 1) -> None:
        """Take loaded graphs; ``streams`` images are encoded at a time."""
        self.manifest = manifest
        self.device = device
        self._sessions = sessions
        self._rows = _ROWS[device]
        self._signatures = signatures(manifest.sizes, manifest.architecture, manifest.embeds_texts)
        self._map_images: Callable[..., Iterable[Arrays]] = map
        if streams > 1:
            from concurrent.futures import ThreadPoolExecutor  # one study starts without

            self._map_images = ThreadPoolExecutor(streams, "encoder").map

    def encode_batch(self, image: Grey) -> EncoderOutput:
        """(B, C, S, S) uint8 -> patch features, tag probabilities, embeddings, distances, embedded patches."""
        return EncoderOutput(*self._run(ENCODER, [image]))

    def sentence_step(self, studies: StudyInput, topics: TopicInput, hidden: Floats, cell: Floats) -> SentenceOutput:
        """Make the next topic of every study.

        Args:
            studies: B of them.
            topics: planned for the sentences that come next.
            hidden: (B, H) state of the sentence LSTM; zeros at the start.
            cell: (B, H) likewise.
        """
        return SentenceOutput(*self._run("sentence_step", [*studies, *topics, hidden, cell]))

    def word_step(self, topic: Floats, word: NDArray[np.int64], hidden: Floats, cell: Floats) -> WordOutput:
        """Score the next word of every sentence.

        Args:
            topic: (N, H).
            word: (N,) the word before; `vocabulary.NO_WORD` at the start.
            hidden: (N, H) state of the word LSTM; zeros at the start.
            cell: (N, H) likewise.
        """
        return WordOutput(*self._run("word_step", [topic, word, hidden, cell]))

    def caption_step(self, patches: Floats, word: NDArray[np.int64], hidden: Floats, cell: Floats) -> CaptionOutput:
        """Score the next word of every report of a captioning architecture.

        Args:
            patches: (N, P, D) patch features.
            word: (N,) the word before; `vocabulary.NO_WORD` at the start.
            hidden: (N, H) state; zeros at the start.
            cell: (N, H) likewise.
        """
        scores, *attention, hidden, cell = self._run("caption_step", [patches, word, hidden, cell])
        return CaptionOutput(scores, attention[0] if attention else None, hidden, cell)

    def encode_text(self, words: NDArray[np.int64]) -> Floats:
        """(N, T) word ids, filled up with `vocabulary.PAD` -> (N, E) unit vectors in the space of the images.

        Raises:
            BundleError: the bundle has no text encoder.
        """
        if not self.manifest.embeds_texts:
            raise BundleError("The bundle has no text encoder.", hint="Train it with a [joint] table in the recipe.")
        embedding: Floats = self._run(TEXT_ENCODER, [words])[0]
        return embedding

    def rows_of(self, name: str, number: int) -> int:
        """Rows of each call of a graph, of a number in all."""
        return self._rows.get(name) or max(number, _MIN_ROWS)

    def _run(self, name: str, inputs: Arrays) -> Arrays:
        """Run a graph in calls of the number of rows that suits the device."""
        session, rows = self._sessions[name], len(inputs[0])
        names = [port.name for port in session.get_inputs()]
        call_rows = self.rows_of(name, rows)
        calls = [
            {n: fill(array[start : start + call_rows], call_rows) for n, array in zip(names, inputs, strict=True)}
            for start in range(0, rows, call_rows)
        ]
        run_all = self._map_images if name == ENCODER else map
        outputs = list(run_all(functools.partial(session.run, None), calls))
        if len(outputs) == 1:
            return [array[:rows] for array in outputs[0]]
        return [np.concatenate(arrays)[:rows] for arrays in zip(*outputs, strict=True)]


def fill(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Array with a number of rows, by repeating its last one."""
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array
