from __future__ import annotations

import json

import jsonschema
import pytest

from cxreport.output.record import record_schema


def test_schema(run_cli) -> None:
    assert json.loads(run_cli("schema").stdout) == record_schema()


@pytest.mark.parametrize("of", ["generate", "retrieve"])
def test_schemas_are_schemas(run_cli, of: str) -> None:
    schema = json.loads(run_cli("schema", "--of", of).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == {"generate": "cxreport record", "retrieve": "cxreport retrieval"}[of]
