"""ONNX Runtime: the networks of a bundle in its sessions, and the only module that imports it.

The networks must give a study the same numbers, to the last bit, whatever batch it travels in: otherwise a near tie
between two words would fall differently. Rounding the numbers first would only move the ties. A row of a matrix product
depends on the number of rows where a library picks its kernel by that, or cuts the work for its threads by it. So each
call has a number of rows that makes no difference: on the CPU the encoder takes one image, and the steps take two rows
and more (one row has a kernel of its own) on one thread, which costs little beside the encoder; on a GPU it is always
the same number, filled up with copies of the last row. A few numbers to choose from would spare work there, but cuDNN
and cuBLAS pick their kernels by them.

On a GPU, sentences and words are written by steps whose state stays there (`gpu.io_binding`); the word search, which
has the same shapes at every step, as two CUDA graphs (`gpu.word_search`).
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from cxreport.errors import BundleError, DeviceError
from cxreport.model.bundle import GraphFiles, load_manifest, read_graphs
from cxreport.model.choices import Device, Precision
from cxreport.model.cpus import encoder_threads
from cxreport.model.gpu.io_binding import BoundGraphs
from cxreport.model.graphs import Arrays, CaptionOutput, EncoderOutput, SentenceOutput, Session, WordOutput
from cxreport.model.manifest import ENCODER, GPU_GRAPHS, HALF_ENCODER, TEXT_ENCODER, WEIGHTS_OF, WORD_SEARCH, Manifest
from cxreport.model.signatures import Port, Signature

__all__ = [
    "CaptionOutput",
    "EncoderOutput",
    "Model",
    "SentenceOutput",
    "WordOutput",
    "has_cuda",
    "providers_present",
    "runtime_version",
]

log = logging.getLogger(__name__)

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ORT_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)", "bool": "tensor(bool)"}
_WEIGHT_SHARING = "add_external_initializers_from_files_in_memory"
"""Method of session options for graphs that take their weights from others; onnxruntime has not always had it."""


def providers_present() -> list[str]:
    """Names of the execution providers that this onnxruntime was built with; one may still lack its driver."""
    return list(ort.get_available_providers())


def runtime_version() -> str:
    """Version of onnxruntime."""
    return str(ort.__version__)


def has_cuda() -> bool:
    """True if CUDA may work: this onnxruntime has its provider, and the driver's library loads."""
    from cxreport.model.gpu import cuda

    return _CUDA in providers_present() and cuda.has_driver()


class Model(BoundGraphs):
    """A loaded bundle."""

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: Device | str = Device.AUTO,
        threads: int | None = None,
        half: bool = False,
        side_by_side: bool = False,
        manifest: Manifest | None = None,
    ) -> Model:
        """Check and load a bundle.

        Args:
            folder: of the bundle.
            device: one of `Device`; ``auto`` takes CUDA where it works.
            threads: CPU threads of the encoder; None takes the CPUs that this process may use.
            half: take half precision for the encoder, where the bundle has a graph for that and this
                onnxruntime can load it; faster on GPUs alone.
            side_by_side: on the CPU, give each thread an image of its own: more images in the same time, but
                one alone gets one thread. The numbers are the same.
            manifest: of the folder, where it was read already.

        Raises:
            BundleError: incomplete, altered, or graphs that do not fit ``model.json``.
            DeviceError: CUDA was asked for and does not work.
        """
        folder, device = Path(folder), Device(device)
        manifest = manifest or load_manifest(folder)
        graphs = GraphFiles(folder, manifest)
        ort.set_default_logger_severity(4)
        ort.disable_telemetry_events()
        if half and HALF_ENCODER in graphs and hasattr(ort.SessionOptions, _WEIGHT_SHARING):
            manifest = replace(manifest, precision=Precision.FLOAT16)
        if device is not Device.CPU:
            try:
                return cls._on_cuda(manifest, read_graphs(folder, manifest))
            except DeviceError as error:
                log.debug("no CUDA", exc_info=error)
                if device is Device.CUDA:
                    raise
        return cls.on_cpu(manifest, graphs, threads or encoder_threads(), side_by_side)

    @classmethod
    def on_cpu(cls, manifest: Manifest, graphs: Mapping[str, bytes], threads: int, side_by_side: bool = False) -> Model:
        """Load graphs that are checked when they are read, one after the other: each goes once its session has it.

        Raises:
            BundleError: graphs that do not load or do not fit ``model.json``.
        """
        streams = threads if side_by_side else 1
        sources = _sources(manifest)
        for name in manifest.graphs:
            if name not in sources.values():
                _ = graphs[name]  # checked, though nothing here runs it
        sessions: dict[str, Any] = {}
        for name, source in sources.items():
            content = {each: graphs[each] for each in {source, WEIGHTS_OF.get(source, source)}}
            number = threads // streams if name == ENCODER else 1
            load = functools.partial(_cpu_session, manifest, content, source, number)
            sessions[name] = _WhenNeeded(load) if name == TEXT_ENCODER else load()
        model = cls(manifest, Device.CPU, sessions, streams)
        model._check_ports()
        return model

    @classmethod
    def _on_cuda(cls, manifest: Manifest, graphs: Mapping[str, bytes]) -> Model:
        """Load on the GPU and prove it with a run of the encoder.

        Raises:
            BundleError: graphs that do not fit ``model.json``.
            DeviceError: any part of CUDA is missing or does not work.
        """
        from cxreport.model.gpu import cuda

        cuda.check_machine(_CUDA in providers_present(), cuda.has_driver())
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
        cuda.check_libraries(getattr(ort, "cuda_version", ""))
        providers = [(_CUDA, cuda.PROVIDER_OPTIONS), _CPU]
        try:
            sessions = {
                name: _session(manifest, graphs, source, providers) for name, source in _sources(manifest).items()
            }
            model = cls(manifest, Device.CUDA, sessions)
            model.encode_batch(np.zeros((1, manifest.channels, manifest.image_size, manifest.image_size), np.uint8))
        except Exception as error:  # whatever the driver dislikes
            raise cuda.cannot_run() from error
        if any(_CUDA not in session.get_providers() for session in sessions.values()):
            raise cuda.cannot_run()
        model._check_ports()
        return model.with_word_search(graphs)

    def with_word_search(self, graphs: Mapping[str, bytes]) -> Model:
        """This model with a word search, on a GPU as CUDA graphs, if the bundle has one and that works."""
        if WORD_SEARCH not in graphs:
            return self
        from cxreport.model.gpu import cuda, word_search

        providers = [(_CUDA, cuda.CAPTURING_OPTIONS), _CPU] if self.device is Device.CUDA else [_CPU]
        try:
            session = _session(self.manifest, graphs, WORD_SEARCH, providers)
            model = Model(self.manifest, self.device, {**self._sessions, WORD_SEARCH: session})
            word_search.try_out(model)
        except Exception as error:  # words are then written step by step, as on a CPU
            log.debug("no word search", exc_info=error)
            return self
        model._check_ports()
        return model

    def _to_device(self, array: NDArray[Any]) -> ort.OrtValue:
        """On the CPU a copy, as the value would be the array itself."""
        return ort.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), self.device)

    def _capture_options(self, number: int) -> ort.RunOptions:
        options = ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(number))
        return options

    def _check_ports(self) -> None:
        """Compare the graphs' inputs and outputs with what ``model.json`` implies."""
        for name, session in self._sessions.items():
            if isinstance(session, _WhenNeeded):
                session.then = functools.partial(_check_ports, name, self._signatures[name])
            else:
                _check_ports(name, self._signatures[name], session)


class _WhenNeeded:
    """Session of a graph that few runs use, made when one first does.

    Attributes:
        then: checks the session once it is made.
    """

    def __init__(self, load: Callable[[], ort.InferenceSession]) -> None:
        self._load = load
        self.then: Callable[[Session], None] = lambda session: None

    @functools.cached_property
    def _session(self) -> ort.InferenceSession:
        session = self._load()
        self.then(session)
        return session

    def get_inputs(self) -> Sequence[Any]:
        """Inputs, as the session has them."""
        return list(self._session.get_inputs())

    def get_outputs(self) -> Sequence[Any]:
        """Outputs likewise."""
        return list(self._session.get_outputs())

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs of the graph."""
        return list(self._session.run(names, inputs))


def _check_ports(name: str, signature: Signature, session: Session) -> None:
    for ports, nodes in ((signature.inputs, session.get_inputs()), (signature.outputs, session.get_outputs())):
        if len(ports) != len(nodes) or not all(map(_fits, ports, nodes)):
            raise BundleError(f"The graph {name} does not fit model.json: its inputs or outputs differ.")


def _cpu_session(manifest: Manifest, graphs: Mapping[str, bytes], source: str, threads: int) -> ort.InferenceSession:
    """Load a graph on the CPU.

    Raises:
        BundleError: ONNX Runtime does not take it.
    """
    try:
        return _session(manifest, graphs, source, [_CPU], threads)
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise BundleError("ONNX Runtime cannot load the bundle's graphs.") from error


def _sources(manifest: Manifest) -> dict[str, str]:
    """Graphs that all bundles have -> the graph that each is loaded from in this precision."""
    names = {name: name for name in manifest.graphs if name not in GPU_GRAPHS}
    return names | ({ENCODER: HALF_ENCODER} if manifest.precision is Precision.FLOAT16 else {})


def _session(
    manifest: Manifest, graphs: Mapping[str, bytes], name: str, providers: list[Any], threads: int = 1
) -> ort.InferenceSession:
    """Load a graph, with the weights that it takes from another one."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if name in WEIGHTS_OF:
        weights = graphs[WEIGHTS_OF[name]]
        getattr(options, _WEIGHT_SHARING)([manifest.graphs[WEIGHTS_OF[name]].file], [weights], [len(weights)])
    return ort.InferenceSession(graphs[name], options, providers=providers, enable_fallback=0)


def _fits(port: Port, node: Any) -> bool:
    """True if an input or output of a graph has the name, type and shape of its signature."""
    if (node.name, node.type) != (port.name, _ORT_TYPES[port.dtype]) or len(node.shape) != len(port.shape):
        return False
    return all(isinstance(d, str) or d == length for d, length in zip(port.shape, node.shape, strict=True))
