"""Identity of the DICOM objects of drafted reports: whose they are, who made them, and their UIDs.

UIDs are derived from what an object says, so that the same draft is the same object: an archive that has it already
keeps it, and a service that drafts whatever arrives ends.
"""

from __future__ import annotations

import datetime
import enum
import hashlib
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from highdicom.base_content import ContributingEquipment
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset

from cxreport import DISCLAIMER, __version__
from cxreport.output.hospital.codes import PROCESSING_EQUIPMENT, Code
from cxreport.output.hospital.objects.content_items import reference
from cxreport.reading.instance import OWN_MARK

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.reading.dicom.study_header import ImageReference, StudyHeader
    from cxreport.reading.headers.study_modules import StudyModules
    from cxreport.types import Report

_UTF_8 = ["UTF8"]
"""ISO_IR 192 as pydicom calls it."""
_LONGEST_STRING = 64
"""Characters of the representation LO."""


class Kind(enum.Enum):
    """Kinds of objects, with the numbers of their series and what a list of series calls them."""

    REPORT = 9901, "Drafted report"
    HEAT_MAP = 9902, "Heat map of a drafted report"
    PDF = 9903, "Drafted report as PDF"
    MEASUREMENTS = 9904, "Probabilities of findings"

    def __init__(self, series_number: int, title: str) -> None:
        self.series_number = series_number
        self.title = title

    @property
    def description(self) -> str:
        """Series Description."""
        return f"{self.title}. Research use only."


@dataclass(frozen=True)
class DraftedStudy:
    """Drafted report with all that its objects say of where it came from."""

    report: Report
    header: StudyHeader
    """Of its study."""
    modules: StudyModules
    """Patient and Study modules of the same file."""
    manifest: DraftingModel
    """Model that drafted it."""
    time: datetime.datetime
    """When it was drafted, with a time zone. It is no part of what UIDs are derived from."""

    @property
    def images(self) -> tuple[ImageReference, ...]:
        """Images of the study: that of the view which fed the model, then the others in order of their UIDs."""
        others = sorted(self.header.images[1:], key=lambda image: (image.series_uid, image.sop_instance_uid))
        return (*self.header.images[:1], *others)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the report, but for those of its files: an archive has no use for paths."""
        return self.report.warnings_without_paths

    @property
    def local_time(self) -> datetime.datetime:
        """The time in the zone of the study's own times; where these have none, in that of this machine."""
        return self.time.astimezone(self.modules.zone)

    def digest(self, kind: Kind, *content: str | bytes) -> str:
        """SHA-256 of all that an object of this content says but for its time, in hexadecimal."""
        attributes = ((element.keyword, str(element.value)) for element in self.modules.attributes)
        images = ((image.sop_instance_uid, image.series_uid) for image in self.images)
        parts = (kind.name, __version__, self.manifest.sha256, *sum(attributes, ()), *sum(images, ()), *content)
        whole = hashlib.sha256()
        for part in parts:
            encoded = part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part
            whole.update(f"{len(encoded)}\n".encode() + encoded)
        return whole.hexdigest()


def derived_uid(*parts: str) -> str:
    """UID of a version 5 UUID of these parts (PS3.5 B.2, RFC 9562 5.5)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, OWN_MARK + chr(10) + chr(10).join(parts)).int}"


def attributes_of_instance(drafted: DraftedStudy, kind: Kind, digest: str) -> dict[str, Any]:
    """Arguments of all of highdicom's classes: UIDs, series, equipment, times.

    Nothing of the patient is among them: the classes warn of names that they doubt, and quote them. `completed` has it.

    Args:
        drafted: study.
        kind: of the object.
        digest: of its content, by `DraftedStudy.digest`.
    """
    time = drafted.local_time.replace(tzinfo=None)
    return {
        "study_instance_uid": drafted.header.study_uid,
        "series_instance_uid": derived_uid("series", digest),
        "series_number": kind.series_number,
        "sop_instance_uid": derived_uid("instance", digest),
        "instance_number": 1,
        "series_description": kind.description,
        "manufacturer": OWN_MARK,
        "manufacturer_model_name": drafted.manifest.name[:_LONGEST_STRING],
        "device_serial_number": drafted.manifest.sha256,
        "software_versions": versions(drafted.manifest),
        "content_date": time.date(),
        "content_time": time.time().replace(microsecond=0),
        "specific_character_set": drafted.modules.attributes.SpecificCharacterSet,
    }


def versions(manifest: DraftingModel) -> list[str]:
    """Software Versions: of the program, of the model, and the digest of the bundle."""
    return [
        f"cxreport {__version__}",
        f"{manifest.name} {manifest.version}"[:_LONGEST_STRING],
        manifest.sha256,
    ]


def _equipment(drafted: DraftedStudy) -> ContributingEquipment:
    """Item of the Contributing Equipment Sequence (PS3.3 C.12.1), by which `reading` knows an object as its own."""
    manifest = drafted.manifest
    return ContributingEquipment(
        manufacturer=OWN_MARK,
        purpose_of_reference=concept(PROCESSING_EQUIPMENT),
        manufacturer_model_name=manifest.name[:_LONGEST_STRING],
        software_versions=versions(manifest),
        contribution_datetime=drafted.local_time.replace(tzinfo=None, microsecond=0),
        contribution_description=DISCLAIMER,
    )


def concept(code: Code) -> CodedConcept:
    """A code of the table as an item of a sequence."""
    return CodedConcept(code.value, str(code.scheme), code.meaning)


def references(images: Sequence[ImageReference]) -> list[Dataset]:
    """Items that refer to images."""
    return [reference(image.sop_class_uid, image.sop_instance_uid) for image in images]


def completed(instance: Dataset, drafted: DraftedStudy) -> Dataset:
    """An object with its patient and study, and with its own time in place of what the library takes from the clock."""
    time = drafted.local_time
    instance.ContributingEquipmentSequence = [_equipment(drafted)]
    instance.InstanceCreationDate, instance.InstanceCreationTime = f"{time:%Y%m%d}", f"{time:%H%M%S}"
    for element in drafted.modules.attributes:
        instance[element.tag] = element
    return instance


def encoded(instance: Dataset) -> bytes:
    """An object as a file (PS3.10 7)."""
    stream = io.BytesIO()
    instance.set_original_encoding(False, True, _UTF_8)
    instance.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
