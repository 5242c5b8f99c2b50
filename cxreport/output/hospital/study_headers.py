"""DICOM headers of drafted studies, for the formats that name the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxreport.errors import MissingHeaderError
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.reading.dicom.study_header import StudyHeader
    from cxreport.types import Outcome, Report


def with_header(outcome: Outcome, needs_id: bool = False) -> tuple[Report, StudyHeader] | Failure:
    """Read the header of a study again.

    Args:
        outcome: a report or a failure.
        needs_id: a name alone will not do.

    Returns:
        The report and the header of its study; a failure where there is no usable header.
    """
    if isinstance(outcome, Failure):
        return outcome
    from cxreport.reading.dicom.study_header import read_study_header

    study = outcome.study
    try:
        if study.view is None:
            raise MissingHeaderError(f"{study.id}: has no image, and thus no DICOM header.")
        others = [view.source for view in study.other_views]
        header = read_study_header(study.view.info.source, others)
        if needs_id and not header.patient_id:
            raise MissingHeaderError(f"{study.view.info.source}: PatientID is empty.")
        return outcome, header
    except MissingHeaderError as error:
        return Failure(study.id, study.sources, error)
