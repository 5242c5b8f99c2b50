"""CUDA: options of its sessions, and checks that say why it does not work on a machine and what would help."""

from __future__ import annotations

import ctypes
import sys

from cxreport.errors import DeviceError

PROVIDER_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
"""Options of ONNX Runtime's provider: single precision as on the CPU, and the same kernels each time."""
CAPTURING_OPTIONS = PROVIDER_OPTIONS | {"enable_cuda_graph": "1"}
"""Options of sessions whose runs are captured as CUDA graphs."""

_DRIVER = {"win32": "nvcuda.dll"}
_LIBRARIES = {"win32": ("cudart64_{0}.dll", "cublas64_{0}.dll", "cublasLt64_{0}.dll", "cudnn64_9.dll")}
_UNIX_LIBRARIES = ("libcudart.so.{0}", "libcublas.so.{0}", "libcublasLt.so.{0}", "libcudnn.so.9")
_OR_CPU = "or use --device cpu."


def has_driver() -> bool:
    """True if NVIDIA's driver library loads; without it there is no use in trying those of CUDA."""
    return _loads(_DRIVER.get(sys.platform, "libcuda.so.1"))


def check_machine(provider: bool, driver: bool) -> None:
    """Check what comes before any library of CUDA.

    Args:
        provider: True if this onnxruntime was built with CUDA.
        driver: True if NVIDIA's driver is there.

    Raises:
        DeviceError: one of the two is missing.
    """
    if not provider:
        raise DeviceError(
            "CUDA does not work here: this onnxruntime is built without it.",
            hint=f"Put onnxruntime-gpu in its place (Linux and Windows on x86-64), {_OR_CPU}",
        )
    if not driver:
        raise DeviceError("CUDA does not work here: there is no NVIDIA driver.", hint=f"Install the driver, {_OR_CPU}")


def check_libraries(cuda_version: str) -> None:
    """Check that the main libraries of CUDA and cuDNN load.

    Args:
        cuda_version: that this onnxruntime was built for, as "13.0"; empty if it does not say.

    Raises:
        DeviceError: one of them does not.
    """
    names = _LIBRARIES.get(sys.platform, _UNIX_LIBRARIES) if cuda_version else ()
    missing = [name for name in (n.format(cuda_version.split(".")[0]) for n in names) if not _loads(name)]
    if missing:
        raise DeviceError(
            f"CUDA does not work here: {', '.join(missing)} cannot be loaded.",
            hint=f"pip install 'cxreport[cuda]' brings the CUDA and cuDNN libraries, {_OR_CPU}",
        )


def cannot_run() -> DeviceError:
    """Error where every part is present and the networks still do not run."""
    return DeviceError(
        "CUDA does not work here: ONNX Runtime cannot run the networks on the GPU.",
        hint=f"See that nvidia-smi lists a GPU with free memory and that its driver is recent enough, {_OR_CPU}",
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
