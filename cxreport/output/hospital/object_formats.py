"""Formats of DICOM objects: each study's structured report and heat map, with the patient and study of its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxreport.output.formatters import StudyFormatter

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from cxreport.output.hospital.objects.identity import DraftedStudy
    from cxreport.types import Report

HEAT_MAPS = "sc"
"""Name of the format that structured reports are linked to."""


class ObjectFormatter(StudyFormatter):
    """Base of the formats of DICOM objects. Those of one run say the same time of a study, and read its header once."""

    _latest: DraftedStudy | None = None

    def drafted(self, report: Report) -> DraftedStudy:
        """A report with the header of its study, and the time at which it was first asked for.

        Raises:
            MissingHeaderError: there is no such header.
        """
        first = next((other for other in self.beside.values() if isinstance(other, ObjectFormatter)), self)
        if first._latest is None or first._latest.report is not report:
            from cxreport.output.hospital.objects.drafted import drafted_study

            first._latest = drafted_study(report, self._manifest)
        return first._latest


class StructuredReportFormatter(ObjectFormatter):
    """Structured reports, linked to the heat maps that the same run writes."""

    def document(self, report: Report) -> bytes:
        """Make a document by TID 2000."""
        from cxreport.output.hospital.objects.identity import encoded
        from cxreport.output.hospital.objects.structured_report import structured_report

        maps = self.beside.get(HEAT_MAPS)
        heat_map = maps.heat_map(report) if isinstance(maps, HeatMapFormatter) else None
        return encoded(structured_report(self.drafted(report), heat_map))


class HeatMapFormatter(ObjectFormatter):
    """Heat maps as secondary captures."""

    _made: tuple[DraftedStudy, Dataset] | None = None

    def heat_map(self, report: Report) -> Dataset:
        """The object of a report, the same one for as long as no other report is asked for.

        Raises:
            MissingHeaderError: there is no header of its study.
            BundleError: its sentences have no maps.
        """
        drafted = self.drafted(report)
        if self._made is None or self._made[0] is not drafted:
            from cxreport.output.hospital.objects.heat_map import heat_map

            self._made = drafted, heat_map(drafted)
        return self._made[1]

    def document(self, report: Report) -> bytes:
        """Make an RGB image."""
        from cxreport.output.hospital.objects.identity import encoded

        return encoded(self.heat_map(report))
