"""Modules that decode what the codecs of `codecs` read: where all are there, pydicom need not be loaded to ask it."""

from __future__ import annotations

import importlib

_PYLIBJPEG = "pylibjpeg"
DECODER_MODULES: dict[str, tuple[str, ...]] = {
    "uncompressed": (),
    "encapsulated uncompressed": (),
    "deflated": (),
    "RLE": (),
    "JPEG baseline": (_PYLIBJPEG, "libjpeg"),
    "JPEG extended": (_PYLIBJPEG, "libjpeg"),
    "JPEG lossless": (_PYLIBJPEG, "libjpeg"),
    "JPEG-LS": ("jpeg_ls",),
    "JPEG 2000": (_PYLIBJPEG, "openjpeg"),
    "HTJ2K": (_PYLIBJPEG, "openjpeg"),
}
"""Name of a codec -> modules with which pydicom decodes it; none where pydicom itself does."""


def decoders_present() -> dict[str, bool]:
    """Name of a codec -> True if it can be decoded here.

    Where a module is missing another library may take its place: pydicom is asked then.
    """
    try:
        for module in {name for names in DECODER_MODULES.values() for name in names}:
            importlib.import_module(module)
    except Exception:  # whatever a library that is damaged raises
        from cxreport.reading.dicom import codecs

        return codecs.decoders_present()
    return dict.fromkeys(DECODER_MODULES, True)
