"""`cxreport index info`: contents of an index of reports and images."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from cxreport.cli.errors import errors_handled, exits_with
from cxreport.cli.options import IndexFile, Json, input_option


@exits_with()
def info(
    index: IndexFile,
    check: Annotated[bool, input_option("--check", help="Read all of it, and compare it with its digest.")] = False,
    json_: Json = False,
) -> None:
    """Show what an index holds and which bundle it belongs to. Loads no model."""
    with errors_handled():
        from cxreport.retrieval.index import open_index
        from cxreport.text.printable import printable

        opened = open_index(index)
        file = opened.file
        if check:
            file.check()
        facts: dict[str, Any] = {
            "path": str(index),
            "bytes": file.bytes,
            "reports": opened.counts["report"],
            "images": opened.counts["image"],
            "sha256": file.sha256 or None,
            "embedding": file.width,
            "model": {"name": file.bundle_name, "version": file.bundle_version, "sha256": file.bundle_sha256},
        }
        if json_:
            typer.echo(json.dumps(facts, indent=2))
        else:
            facts |= {"model": f"{file.bundle_name} {file.bundle_version}", "model sha256": file.bundle_sha256}
            typer.echo("\n".join(printable(f"{name:<16}{value}") for name, value in facts.items()))
