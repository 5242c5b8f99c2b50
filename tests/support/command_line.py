"""The command line in a process of its own, and the records that it writes."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema

from cxreport.output.record import record_schema


def records(text: str) -> list[dict]:
    """Read JSON Lines and check each against the schema."""
    validator = jsonschema.Draft202012Validator(record_schema())
    parsed = [json.loads(line) for line in text.splitlines()]
    for record in parsed:
        validator.validate(record)
    return parsed


def timeless(text: str) -> list[dict]:
    return [
        {key: value for key, value in record.items() if key not in ("timing_ms", "drafted_at")}
        for record in records(text)
    ]


def start(*arguments: object, **settings) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cxreport", *map(str, arguments)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,
    )
