"""`cxreport info`: version, bundle, and what this machine can run and read."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cxreport import __version__
from cxreport.cli.errors import errors_handled, exits_with
from cxreport.cli.options import Bundle, Json
from cxreport.errors import BundleError, ExitCode
from cxreport.points import OperatingPoint
from cxreport.text.printable import printable

if TYPE_CHECKING:
    from cxreport.model.manifest import Manifest
    from cxreport.model.precision import PrecisionFacts


@exits_with(ExitCode.BUNDLE)
def info(
    json_: Json = False,
    model: Bundle = None,
) -> None:
    """Show the version, the bundle, and what this machine can run and read.

    Loads no model. An unusable bundle is an error after the rest is shown.
    """
    with errors_handled():
        from cxreport.model.bundle import find_bundle, load_manifest
        from cxreport.model.precision import precision_facts
        from cxreport.model.session import providers_present
        from cxreport.reading.dicom.decoder_modules import decoders_present

        facts: dict[str, Any] = {"version": __version__, "bundle": None}
        failure: BundleError | None = None
        try:
            folder = find_bundle(model)
            manifest = load_manifest(folder)
            facts["bundle"] = _bundle(folder, manifest)
            facts["precision"] = _precision(precision_facts(folder, manifest))
        except BundleError as error:
            failure = error
        facts["providers"] = providers_present()
        facts["dicom_decoders"] = decoders_present()
        typer.echo(json.dumps(facts, indent=2) if json_ else _text(facts))
        if failure is not None:
            raise failure


def _bundle(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Describe a bundle."""
    return {
        "path": str(folder),
        "name": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "encoder": manifest.encoder,
        "architecture": manifest.architecture,
        "image_size": manifest.image_size,
        "tags": [{"name": tag.name, "threshold": round(float(tag.threshold), 4)} for tag in manifest.tags],
        "reporting_tags": [tag.name for tag in manifest.reporting_tags],
        "evidence": sorted(manifest.evidence),
        "operating_points": {
            name: list(OperatingPoint) if evidence.limits else [OperatingPoint.BALANCED]
            for name, evidence in sorted(manifest.evidence.items())
        },
    }


def _precision(facts: PrecisionFacts) -> dict[str, Any]:
    """Describe the precisions of the bundle, and the one that a CPU run takes."""
    return {
        "available": list(facts.available),
        "on_cpu": facts.on_cpu,
        "int8_dot_product": facts.dot_product,
        "int8_sha256": facts.int8_sha256,
    }


def _precision_text(precision: dict[str, Any]) -> str:
    """Say in a line which precision a CPU run takes, with its reason, and a GPU run if that is another one."""
    on_gpu = " or ".join(name for name in precision["available"] if name.gpu_only)
    gpu = f"; {on_gpu} on a GPU" if on_gpu else ""
    choice = {"float32", "int8"} <= set(precision["available"])
    instructions = "has" if precision["int8_dot_product"] else "lacks"
    reason = f", which {instructions} the instructions that int8 needs" if choice else ""
    return f"{precision['on_cpu']} on the CPU{reason}{gpu}"


def _text(facts: dict[str, Any]) -> str:
    """Lay facts out as lines of a name and a value, at 80 columns."""
    bundle, decoders = facts["bundle"], facts["dicom_decoders"]
    lines = {"cxreport": facts["version"], "bundle": "unusable"}
    if bundle is not None:
        networks = f"{bundle['encoder']} and {bundle['architecture']}"
        lines |= {
            "bundle": f"{bundle['name']} {bundle['version']}, {networks}, {bundle['image_size']} px",
            "path": bundle["path"],
            "sha256": bundle["sha256"],
            "tags": ", ".join(tag["name"] for tag in bundle["tags"]),
            "reporting tags": ", ".join(bundle["reporting_tags"]),
            "evidence": ", ".join(bundle["evidence"]),
            "operating point": "; ".join(f"{name}: {', '.join(p)}" for name, p in bundle["operating_points"].items()),
        }
    if "precision" in facts:  # not with an int8 bundle that is unusable
        lines |= {
            "precision": _precision_text(facts["precision"]),
            "int8 sha256": facts["precision"]["int8_sha256"] or "",
        }
    lines["providers"] = ", ".join(facts["providers"])
    lines["DICOM decoders"] = ", ".join(name for name, present in decoders.items() if present)
    lines["missing"] = ", ".join(name for name, present in decoders.items() if not present)
    return "\n".join(
        textwrap.fill(
            printable(value), 80, initial_indent=f"{name:<16}", subsequent_indent=" " * 16, break_long_words=False
        )
        for name, value in lines.items()
        if value
    )
