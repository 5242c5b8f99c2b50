"""Drafted studies as DICOM objects need them: reports with their headers, read again."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from cxreport.output.hospital.objects.identity import DraftedStudy
from cxreport.output.hospital.study_headers import with_header
from cxreport.reading.headers.study_modules import read_study_modules
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Report


def drafted_study(report: Report, model: DraftingModel) -> DraftedStudy:
    """Put a report together with the header of its study.

    Args:
        report: of a study with an image; one that does not say when it was drafted counts as drafted now.
        model: that drafted it.

    Raises:
        MissingHeaderError: its image has no header that names a patient and a study.
    """
    found = with_header(report)
    if isinstance(found, Failure):
        raise found.error
    _, header = found
    assert report.study.view is not None
    modules = read_study_modules(report.study.view.info.source)
    return DraftedStudy(report, header, modules, model, report.drafted_at or datetime.datetime.now(datetime.UTC))
