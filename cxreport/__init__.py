"""Drafts the radiology report of a chest X-ray study. Research use only.

The names below are imported when they are first used, so that ``import cxreport`` itself costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxreport.drafting.pipeline import GenerateOptions, generate
    from cxreport.errors import CxreportError
    from cxreport.model.bundle import find_bundle, load_manifest
    from cxreport.model.manifest import Manifest
    from cxreport.model.precision import load_model
    from cxreport.model.session import Model
    from cxreport.output.formats import get_formatter
    from cxreport.output.record import record_schema, to_record
    from cxreport.reading.pictures.in_memory import read_image
    from cxreport.reading.study import ReadOptions, read_studies, read_study
    from cxreport.reading.tag_table import read_tag_table
    from cxreport.sentences import Sentence, Statement
    from cxreport.types import Failure, Outcome, Report, Study

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads it when it is imported, and asks nobody else

__version__ = "0.7.0"
DISCLAIMER = "Research use only: a drafted report is no diagnosis and must not guide care."

_HOMES = {
    "CxreportError": "errors",
    "Failure": "types",
    "GenerateOptions": "drafting.pipeline",
    "Manifest": "model.manifest",
    "Model": "model.session",
    "Outcome": "types",
    "ReadOptions": "reading.study",
    "Report": "types",
    "Sentence": "sentences",
    "Statement": "sentences",
    "Study": "types",
    "find_bundle": "model.bundle",
    "generate": "drafting.pipeline",
    "get_formatter": "output.formats",
    "load_manifest": "model.bundle",
    "load_model": "model.precision",
    "read_image": "reading.pictures.in_memory",
    "read_studies": "reading.study",
    "read_study": "reading.study",
    "read_tag_table": "reading.tag_table",
    "record_schema": "output.record",
    "to_record": "output.record",
}

__all__ = [
    "CxreportError",
    "Failure",
    "GenerateOptions",
    "Manifest",
    "Model",
    "Outcome",
    "ReadOptions",
    "Report",
    "Sentence",
    "Statement",
    "Study",
    "__version__",
    "find_bundle",
    "generate",
    "get_formatter",
    "load_manifest",
    "load_model",
    "read_image",
    "read_studies",
    "read_study",
    "read_tag_table",
    "record_schema",
    "to_record",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names before they are imported."""
    return sorted({*globals(), *__all__})
