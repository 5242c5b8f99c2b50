"""The networks of a bundle in ONNX Runtime; the only module that imports it.

The networks must give a study the same numbers, to the last bit, whatever batch it travels in: otherwise a near tie
between two words would fall differently. Rounding the numbers first would only move the ties. What a row of a matrix
product comes to depends on the number of rows where a library picks its kernel by that, or cuts the work for its
threads by it. So each call here has a number of rows that makes no difference: on the CPU the encoder takes one image,
and the steps take two rows and more (one row has a kernel of its own) on one thread, which costs little beside the
encoder; on a GPU it is always the same number, filled up with copies of the last row.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from cxreport._cpus import encoder_threads
from cxreport._signatures import Port, signatures
from cxreport.bundle import load_manifest, read_graphs
from cxreport.errors import BundleError, DeviceError
from cxreport.manifest import ENCODER, TEXT_ENCODER, Manifest
from cxreport.types import Floats, Grey

Device = Literal["auto", "cpu", "cuda"]
Arrays = list[NDArray[Any]]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ORT_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
_ROWS: dict[str, dict[str, int]] = {
    "cpu": {"encoder": 1},
    "cuda": {"encoder": 16, "sentence_step": 16, "word_step": 128, "caption_step": 16, "text_encoder": 16},
}
"""Rows of every call by device and graph; any number from `_LEAST_ROWS` where there is none."""
_LEAST_ROWS = 2


class EncoderOutput(NamedTuple):
    """What the encoder gives."""

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


class SentenceOutput(NamedTuple):
    """What a sentence step gives."""

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
    """What a word step gives."""

    log_probabilities: Floats
    """(N, V)"""
    hidden: Floats
    cell: Floats


class CaptionOutput(NamedTuple):
    """What a step of a captioning architecture gives."""

    log_probabilities: Floats
    """(N, V)"""
    attention: Floats | None
    """(N, P); None where the architecture has none."""
    hidden: Floats
    cell: Floats


def providers_present() -> list[str]:
    """Names of the execution providers that this onnxruntime was built with; one may still lack its driver."""
    return list(ort.get_available_providers())


def has_cuda() -> bool:
    """Whether CUDA may work: this onnxruntime has its provider, and the driver's library loads."""
    return _CUDA in providers_present() and _has_cuda_driver()


class Model:
    """A loaded bundle."""

    def __init__(self, manifest: Manifest, device: str, sessions: Mapping[str, ort.InferenceSession]) -> None:
        self.manifest = manifest
        self.device = device
        """``cpu`` or ``cuda``."""
        self._sessions = sessions
        self._rows = _ROWS[device]

    @classmethod
    def load(cls, folder: Path, device: Device = "auto", threads: int | None = None) -> Model:
        """Check and load a bundle.

        Args:
            folder: of the bundle.
            device: ``auto`` takes CUDA where it works.
            threads: CPU threads of the encoder; None takes the CPUs that this process may use.

        Raises:
            BundleError: incomplete, altered, or graphs that do not fit ``model.json``.
            DeviceError: CUDA was asked for and does not work.
        """
        manifest = load_manifest(folder)
        graphs = read_graphs(folder, manifest)
        ort.set_default_logger_severity(4)
        ort.disable_telemetry_events()
        threads = threads or encoder_threads()
        model = cls._on_cuda(manifest, graphs) if device != "cpu" else None
        if model is None and device == "cuda":
            raise DeviceError("CUDA does not work here: no driver, no GPU, or CUDA and cuDNN libraries are missing.")
        return model or cls._on_cpu(manifest, graphs, threads)

    @classmethod
    def _on_cpu(cls, manifest: Manifest, graphs: Mapping[str, bytes], threads: int) -> Model:
        try:
            sessions = {n: _session(g, [_CPU], threads if n == ENCODER else 1) for n, g in graphs.items()}
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise BundleError("ONNX Runtime cannot load the bundle's graphs.") from error
        _check_graphs(manifest, sessions)
        return cls(manifest, "cpu", sessions)

    @classmethod
    def _on_cuda(cls, manifest: Manifest, graphs: Mapping[str, bytes]) -> Model | None:
        """Load on the GPU and prove it with a run of the encoder; None where that fails for any reason."""
        if not has_cuda():
            return None
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                ort.preload_dlls()
            sessions = {n: _session(g, [(_CUDA, _CUDA_OPTIONS), _CPU], 1) for n, g in graphs.items()}
            if any(_CUDA not in s.get_providers() for s in sessions.values()):
                return None
            model = cls(manifest, "cuda", sessions)
            model.encode_batch(np.zeros((1, manifest.channels, manifest.image_size, manifest.image_size), np.uint8))
        except Exception:  # whatever the driver dislikes: the CPU does it
            return None
        _check_graphs(manifest, sessions)
        return model

    def encode_batch(self, image: Grey) -> EncoderOutput:
        """(B, C, S, S) uint8 -> patch features, tag probabilities, embeddings, distances, embedded patches."""
        return EncoderOutput(*self._run("encoder", [image]))

    def sentence_step(
        self,
        patches: Floats,
        has_image: Floats,
        tags: Floats,
        unusual: Floats,
        plan: Floats,
        detail: Floats,
        section: NDArray[np.int64],
        hidden: Floats,
        cell: Floats,
    ) -> SentenceOutput:
        """Make the next topic of every study.

        Args:
            patches: (B, P, D); zeros (B, 1, D) without images.
            has_image: (B,) 1 or 0.
            tags: (B, R) probability of each positive reporting tag, 0 where negative.
            unusual: (B, R) how unusual the evidence of each reporting tag is, in standard deviations.
            plan: (B, R) 1 for the tags that this sentence tells, -1 for those it denies; zeros for a free topic.
            detail: (B, D) 1 for each `Detail` of how it tells them.
            section: (B,) of this sentence, 0 Findings, 1 Impression.
            hidden: (B, H) state of the sentence LSTM; zeros at the start.
            cell: (B, H) likewise.
        """
        return SentenceOutput(
            *self._run("sentence_step", [patches, has_image, tags, unusual, plan, detail, section, hidden, cell])
        )

    def word_step(self, topic: Floats, word: NDArray[np.int64], hidden: Floats, cell: Floats) -> WordOutput:
        """Score the next word of every sentence.

        Args:
            topic: (N, H).
            word: (N,) the word before; `manifest.NO_WORD` at the start.
            hidden: (N, H) state of the word LSTM; zeros at the start.
            cell: (N, H) likewise.
        """
        return WordOutput(*self._run("word_step", [topic, word, hidden, cell]))

    def caption_step(self, patches: Floats, word: NDArray[np.int64], hidden: Floats, cell: Floats) -> CaptionOutput:
        """Score the next word of every report of a captioning architecture.

        Args:
            patches: (N, P, D) patch features.
            word: (N,) the word before; `manifest.NO_WORD` at the start.
            hidden: (N, H) state; zeros at the start.
            cell: (N, H) likewise.
        """
        scores, *attention, hidden, cell = self._run("caption_step", [patches, word, hidden, cell])
        return CaptionOutput(scores, attention[0] if attention else None, hidden, cell)

    def encode_text(self, words: NDArray[np.int64]) -> Floats:
        """(N, T) word ids, filled up with `manifest.PAD` -> (N, E) unit vectors in the space of the images.

        Raises:
            BundleError: the bundle has no text encoder.
        """
        if not self.manifest.embeds_texts:
            raise BundleError("The bundle has no text encoder.", hint="Train it with a [joint] table in the recipe.")
        found: Floats = self._run(TEXT_ENCODER, [words])[0]
        return found

    def _run(self, name: str, inputs: Arrays) -> Arrays:
        """Run a graph in calls of the numbers of rows that this device wants."""
        session, rows = self._sessions[name], len(inputs[0])
        names = [port.name for port in session.get_inputs()]
        chunk = self._rows.get(name) or max(rows, _LEAST_ROWS)
        parts = [
            session.run(None, {n: _fill(a[i : i + chunk], chunk) for n, a in zip(names, inputs, strict=True)})
            for i in range(0, rows, chunk)
        ]
        return [np.concatenate(part)[:rows] for part in zip(*parts, strict=True)]


def _fill(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Bring an array to a number of rows by repeating its last one."""
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _session(graph: bytes, providers: list[Any], threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)


def _check_graphs(manifest: Manifest, sessions: Mapping[str, ort.InferenceSession]) -> None:
    """Compare the graphs' inputs and outputs with what ``model.json`` implies."""
    wanted_graphs = signatures(manifest.sizes, manifest.architecture, manifest.embeds_texts)
    for name, signature in wanted_graphs.items():
        session = sessions[name]
        for wanted, found in ((signature.inputs, session.get_inputs()), (signature.outputs, session.get_outputs())):
            if len(wanted) != len(found) or not all(map(_fits, wanted, found)):
                raise BundleError(f"The graph {name} does not fit model.json: its inputs or outputs differ.")


def _fits(wanted: Port, found: Any) -> bool:
    if (found.name, found.type) != (wanted.name, _ORT_TYPES[wanted.dtype]) or len(found.shape) != len(wanted.shape):
        return False
    return all(isinstance(w, str) or w == f for w, f in zip(wanted.shape, found.shape, strict=True))


def _has_cuda_driver() -> bool:
    """Whether NVIDIA's driver library loads; without it the GPU libraries need not be tried."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
