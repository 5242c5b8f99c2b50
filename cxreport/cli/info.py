"""`cxreport info` and `cxreport schema`."""

from __future__ import annotations

import enum
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxreport import __version__
from cxreport.cli.errors import errors_handled
from cxreport.errors import BundleError
from cxreport.model.choices import Precision

if TYPE_CHECKING:
    from cxreport.model.manifest import Manifest
    from cxreport.model.precision import PrecisionFacts


def info(
    json_: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", metavar="BUNDLE", help="Bundle folder. Default: the shipped bundle.")
    ] = None,
) -> None:
    """Tell the version, the bundle, and what this machine can run and read.

    Loads no model. Exits with 4 when the bundle is unusable, after telling the rest.
    """
    with errors_handled():
        from cxreport.model.bundle import find_bundle, load_manifest
        from cxreport.model.precision import precision_facts
        from cxreport.model.session import providers_present
        from cxreport.reading.dicom.codecs import decoders_present

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


class SchemaOf(enum.StrEnum):
    """Commands that write JSON with a schema."""

    GENERATE = "generate"
    RETRIEVE = "retrieve"


def schema(
    of: Annotated[
        SchemaOf, typer.Option(metavar="|".join(SchemaOf), help="Command that writes the JSON.")
    ] = SchemaOf.GENERATE,
) -> None:
    """Print the JSON Schema of the records that `generate`, or another command, writes."""
    with errors_handled():
        from cxreport.output.record import record_schema
        from cxreport.output.retrieval_record import retrieval_schema

        made = record_schema() if of is SchemaOf.GENERATE else retrieval_schema()
        typer.echo(json.dumps(made, indent=2))


def _bundle(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Describe a bundle."""
    return {
        "path": str(folder),
        "name": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "architecture": manifest.architecture,
        "image_size": manifest.image_size,
        "tags": [{"name": tag.name, "threshold": round(float(tag.threshold), 4)} for tag in manifest.tags],
        "reporting_tags": [tag.name for tag in manifest.reporting_tags],
        "evidence": sorted(manifest.evidence),
    }


def _precision(facts: PrecisionFacts) -> dict[str, Any]:
    """Tell the precisions of the bundle, and which of them a CPU run takes."""
    return {
        "available": list(facts.available),
        "on_cpu": facts.chosen,
        "int8_dot_product": facts.dot_product,
        "encoder_ms": facts.measured_ms,
        "int8_sha256": facts.int8_sha256,
    }


def _precision_text(precision: dict[str, Any]) -> str:
    """Say in a line which precision a CPU run takes, and why, and what a GPU run takes if that is another one."""
    gpu = f"; {Precision.FLOAT16} on a GPU" if Precision.FLOAT16 in precision["available"] else ""
    measured = precision["encoder_ms"] or {}
    times = ", ".join(f"{name} {spent:g} ms" for name, spent in measured.items())
    if precision["on_cpu"] is None:
        choices = " or ".join(name for name in precision["available"] if name != Precision.FLOAT16)
        return f"{choices} on the CPU: the first run measures which is faster{gpu}"
    why = f" (per image: {times})" if times else ""
    return f"{precision['on_cpu']} on the CPU{why}{gpu}"


def _text(facts: dict[str, Any]) -> str:
    """Lay facts out as a name and a value each, at 80 columns."""
    bundle, decoders = facts["bundle"], facts["dicom_decoders"]
    lines = {"cxreport": facts["version"], "bundle": "unusable"}
    if bundle is not None:
        lines |= {
            "bundle": f"{bundle['name']} {bundle['version']}, {bundle['architecture']}, {bundle['image_size']} px",
            "path": bundle["path"],
            "sha256": bundle["sha256"],
            "tags": ", ".join(tag["name"] for tag in bundle["tags"]),
            "reporting tags": ", ".join(bundle["reporting_tags"]),
            "evidence": ", ".join(bundle["evidence"]),
            "precision": _precision_text(facts["precision"]),
            "int8 sha256": facts["precision"]["int8_sha256"] or "",
        }
    lines["providers"] = ", ".join(facts["providers"])
    lines["DICOM decoders"] = ", ".join(name for name, present in decoders.items() if present)
    lines["missing"] = ", ".join(name for name, present in decoders.items() if not present)
    return "\n".join(
        textwrap.fill(value, 80, initial_indent=f"{name:<16}", subsequent_indent=" " * 16, break_long_words=False)
        for name, value in lines.items()
        if value
    )
