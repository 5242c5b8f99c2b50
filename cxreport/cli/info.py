"""`cxreport info` and `cxreport schema`: version, bundle, what this machine can run and read; the form of the JSON."""

from __future__ import annotations

import enum
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxreport import __version__
from cxreport.cli.errors import errors_handled, exits_with
from cxreport.cli.options import Bundle, Json, OutFile
from cxreport.errors import BundleError, ExitCode
from cxreport.points import OperatingPoint

if TYPE_CHECKING:
    from cxreport.cli.command.command import Settings
    from cxreport.model.manifest import Manifest
    from cxreport.model.precision import PrecisionFacts


@exits_with(ExitCode.BUNDLE)
def info(
    context: typer.Context,
    json_: Json = False,
    model: Bundle = None,
    out: OutFile = None,
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
        facts["settings"] = _settings(context.obj)
        text = json.dumps(facts, indent=2) if json_ else _text(facts)
        if out is None:
            typer.echo(text)
        else:
            from cxreport.cli.command.result import write_result

            write_result(f"{text}\n", out)
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


def _settings(settings: Settings) -> dict[str, Any] | None:
    """Describe the options that a file gives, by command; None without a file."""
    return {"path": str(settings.path), "options": settings.shown()} if settings.path else None


def _settings_text(settings: dict[str, Any]) -> str:
    """Say in lines which options a file gives to which commands."""
    by_options: dict[str, list[str]] = {}
    for command, options in settings["options"].items():
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            words = " ".join(f"--{name}" if item is True else f"--{name} {item}" for item in values)
            by_options.setdefault(f"no --{name}" if value is False else words, []).append(command)
    lines = [f"{words} ({', '.join(commands)})" for words, commands in by_options.items()]
    return "; ".join([settings["path"], *lines])


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
    from cxreport.text.printable import printable

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
    lines["settings"] = _settings_text(facts["settings"]) if facts["settings"] else ""
    return "\n".join(
        textwrap.fill(
            printable(value), 80, initial_indent=f"{name:<16}", subsequent_indent=" " * 16, break_long_words=False
        )
        for name, value in lines.items()
        if value
    )


class SchemaOf(enum.StrEnum):
    """Commands that write JSON with a schema."""

    GENERATE = "generate"
    RETRIEVE = "retrieve"


@exits_with()
def schema(
    of: Annotated[
        SchemaOf, typer.Argument(metavar="|".join(SchemaOf), help="Command that writes the JSON.")
    ] = SchemaOf.GENERATE,
    out: OutFile = None,
) -> None:
    """Print the JSON Schema of the records that `generate`, or another command, writes."""
    with errors_handled():
        from cxreport.cli.command.result import write_result
        from cxreport.output.record import record_schema
        from cxreport.output.retrieval_record import retrieval_schema

        build = {SchemaOf.GENERATE: record_schema, SchemaOf.RETRIEVE: retrieval_schema}[of]
        write_result(json.dumps(build(), indent=2) + "\n", out)
