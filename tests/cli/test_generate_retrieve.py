from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np

from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.output.record import record_schema
from cxreport.retrieval.index import open_index
from cxreport.types import Report, Study


def test_drafted_reports_have_the_nearest_reports_beside_them(run_cli, index: Path, phantoms: Path) -> None:
    image = phantoms / "normal-8bit.png"
    plain = json.loads(run_cli("generate", "--json", image).stdout)
    done = run_cli("generate", "--json", image, "--retrieve", index, "--neighbours", 2)
    record = json.loads(done.stdout)
    jsonschema.Draft202012Validator(record_schema()).validate(record)
    nearest = json.loads(run_cli("retrieve", index, "--image", image, "--json").stdout)["reports"]
    assert record.pop("similar") == nearest[:2]
    assert record.pop("timing_ms").keys() - plain.pop("timing_ms").keys() == {"retrieve"}
    assert record.pop("drafted_at") >= plain.pop("drafted_at")
    assert record == plain


def test_the_panel_shows_them(run_cli, index: Path, phantoms: Path) -> None:
    image = phantoms / "normal-8bit.png"
    assert "Nearest reports" not in run_cli("generate", image).stdout
    done = run_cli("generate", image, "--retrieve", index)
    shown = done.stdout[done.stdout.index("Nearest reports") :]
    assert [f"{n}." in shown for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert "Findings: The heart is enlarged." in shown


def test_a_study_without_an_image_has_none_and_a_warning(model, index: Path) -> None:
    study = Study("t", ("t",), None, tags=dict.fromkeys(model.manifest.tag_names, 0.5))
    (report,) = generate(model, [study], GenerateOptions(index=open_index(index, model.manifest)))
    assert isinstance(report, Report)
    assert report.similar == ()
    assert any("No nearest reports" in warning for warning in report.warnings)


def test_no_index_is_a_usage_error(model, run_cli, phantoms: Path, tmp_path: Path) -> None:
    done = run_cli("generate", phantoms / "normal-8bit.png", "--retrieve", tmp_path / "none")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no index there" in done.stderr


def test_matches_do_not_depend_on_the_batch(model, index: Path, phantoms: Path) -> None:
    from cxreport.reading.study import read_studies

    opened = open_index(index, model.manifest)
    similar = [
        [
            report.similar
            for report in generate(model, read_studies([phantoms]), GenerateOptions(size, index=opened))
            if isinstance(report, Report)
        ]
        for size in (1, 3)
    ]
    assert similar[0] == similar[1]
    assert len({matches[0].similarity for matches in similar[0]}) > 1
    assert np.isfinite([match.similarity for matches in similar[0] for match in matches]).all()
