from __future__ import annotations

from pathlib import Path

from cxreport.arrivals.result_folder import ResultFolder
from cxreport.errors import UnreadableFileError
from cxreport.model.bundle import load_manifest
from cxreport.output.formats import FORMATS
from cxreport.types import Failure


def test_ids_that_make_the_same_name_have_files_of_their_own(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path, [FORMATS["jsonl"]], load_manifest(tiny_bundle), deliver=False)
    ids = ("a_b.png", "a b.png", "a/b.png", "x" * 200 + "/", "x" * 200 + "+")
    names = [
        file.name for id_ in ids for file in folder.write(Failure(id_, (id_,), UnreadableFileError("It failed.")))[0]
    ]
    assert names[0] == "a_b.png.jsonl"
    assert len(set(names)) == len(list(tmp_path.iterdir())) == len(ids)
    assert max(map(len, names)) < 143
