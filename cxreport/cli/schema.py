"""`cxreport schema`: the JSON Schema of what other commands write."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

from cxreport.cli.errors import errors_handled, exits_with
from cxreport.cli.options import OutFile


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
