"""Measurement report: probabilities of a classifier's findings as Comprehensive 3D SR by TID 1500 (PS3.16).

Each finding is a measurement group with its name as Tracking Identifier. Its code stands there only where its
probability reaches the threshold: a code beside a low one would be found by whoever looks for the disease.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from cxreport.output.hospital.codes import (
    CHEST_IMAGING,
    FINDING,
    IMAGE_LIBRARY,
    IMAGE_LIBRARY_GROUP,
    MEASUREMENT_GROUP,
    MEASUREMENT_REPORT,
    MEASUREMENTS,
    PROCEDURE_REPORTED,
    SOURCE_OF_MEASUREMENT,
    TAG_CODES,
    TRACKING_IDENTIFIER,
    TRACKING_UID,
)
from cxreport.output.hospital.objects.content_items import (
    CONCEPT_MODIFIER,
    CONTAINS,
    OBSERVATION_CONTEXT,
    code,
    container,
    image,
    text,
    uid_reference,
)
from cxreport.output.hospital.objects.identity import DraftedStudy, Kind, derived_uid
from cxreport.output.hospital.objects.structured_report import certainty, document, observation_context
from cxreport.output.schema import rounded
from cxreport.types import TagResult

_TEMPLATE = "1500"


def measurement_report(drafted: DraftedStudy) -> Dataset:
    """Build the document.

    Args:
        drafted: study.

    Returns:
        A preliminary, unverified document in a series of its own, with a measurement group for each finding of the
        tag head.
    """
    tags = drafted.report.tags
    digest = drafted.digest(
        Kind.MEASUREMENTS, *(f"{tag.name} {rounded(tag.probability)} {tag.positive}" for tag in tags)
    )
    language, *observer = observation_context(drafted.manifest)
    groups = [_group(tag, drafted, digest) for tag in tags]
    items = [
        language,
        *observer,
        code(PROCEDURE_REPORTED, CHEST_IMAGING, CONCEPT_MODIFIER),
        container(IMAGE_LIBRARY, [container(IMAGE_LIBRARY_GROUP, _library(drafted))]),
        container(MEASUREMENTS, groups),
    ]
    root = container(MEASUREMENT_REPORT, items, _TEMPLATE)
    return document(drafted, Kind.MEASUREMENTS, Comprehensive3DSRStorage, digest, root, None)


def _library(drafted: DraftedStudy) -> list[Dataset]:
    """Images that the findings are of (TID 1600)."""
    return [image(None, each.sop_class_uid, each.sop_instance_uid, CONTAINS) for each in drafted.images]


def _group(tag: TagResult, drafted: DraftedStudy, digest: str) -> Dataset:
    """Probability of one finding (TID 1501)."""
    sources = [image(SOURCE_OF_MEASUREMENT, each.sop_class_uid, each.sop_instance_uid) for each in drafted.images[:1]]
    present = TAG_CODES.get(tag.reported_as or tag.name) if tag.positive else None
    return container(
        MEASUREMENT_GROUP,
        [
            text(TRACKING_IDENTIFIER, tag.name, OBSERVATION_CONTEXT),
            uid_reference(TRACKING_UID, derived_uid("tracking", tag.name, digest), OBSERVATION_CONTEXT),
            *([] if present is None else [code(FINDING, present)]),
            certainty(f"Probability of {tag.name}", tag.probability, drafted.manifest, CONTAINS, sources),
        ],
    )
