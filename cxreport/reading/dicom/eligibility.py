"""Eligibility of an image by its DICOM header: reasons why it is no chest radiograph, or stands behind another one."""

from __future__ import annotations

import functools
import operator
import re
from typing import TYPE_CHECKING

from pydicom import uid

from cxreport.errors import NotAChestRadiographError
from cxreport.reading.dicom.attributes import integer, sequence, stored, text, texts
from cxreport.reading.dicom.projection import Turn, is_decubitus, orientation_doubt
from cxreport.reading.instance import NO_DRAWBACK, OWN_MARK, Drawback
from cxreport.reading.words import words_of
from cxreport.types import Position

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# PS3.3 C.7.3.1.1.1. Only terms of these lists are ever quoted: another value could be anything, a name too.
_RADIOGRAPHY = {"CR", "DX", "DR", "RG"}
_OTHER_MODALITIES = {
    *("AR", "BI", "BMD", "CT", "DG", "DMS", "DOC", "ECG", "EPS", "ES", "GM", "HC", "HD", "IO", "IVOCT", "IVUS", "KER"),
    *("LEN", "LS", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV", "OSS", "PT", "PX", "REG", "RF", "RTDOSE"),
    *("RTIMAGE", "RTPLAN", "RTSTRUCT", "SEG", "SM", "SR", "TG", "US", "VA", "XA", "XC", "PR", "KO"),
}
_RADIOGRAPHY_CLASSES = {
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
}

_CAPTURE_MODALITIES = {"OT", "SC"}
_CAPTURE_CLASSES = {
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
}
# Conversion Type (PS3.3 C.8.6.1)
_DIGITISED_FILM = "DF"  # an exposure, though captured
_CAPTURED = {"DV", "WSD", "SD", "DRW", "SYN"}  # video, workstation, scanned document, drawing, synthetic image
MAKER = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DerivationDescription")
"""Attributes of an instance, and of its contributing equipment, that may name the software that made it."""
_DUAL_ENERGY = re.compile(r"\b(?:DUAL|HIGH) ?ENERGY\b")
_PART = re.compile(
    r"\b(?:BONES?|(?:SOFT)?TISSUES?|ENERGY SUBTRACT\w*|LOW ENERGY|RIBS? SUPPRESS\w*"
    r"|KNOCHEN\w*|WEICHTEIL\w*|TISSUS? MOUS|OSSEU\w+|PARTES (?:BLANDAS|MOLES)|TEJIDOS? BLANDOS?|HUESOS?|OSS[OA]S?"
    r"|(?:PARTI|TESSUTI) MOLLI)\b"
)
_SHORT_PART = re.compile(r"\b(?:SOFT|LOW)\b")  # where the exposure is called dual-energy
_STANDARD = re.compile(r"\bST(?:AN)?D(?:ARD)?\b")
_RAW = re.compile(r"\b(?:RAW|UNPROCESSED|FOR PROCESSING)\b")

_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "DerivationDescription", "AcquisitionDeviceProcessingDescription")

_DOUBTS = {
    Drawback.FOR_PROCESSING: "The image is FOR PROCESSING: its grey values are not meant to be looked at.",
    Drawback.DUAL_ENERGY: "The image is a part of a dual-energy exposure, without bones or without soft tissue.",
}

# PS3.16 Annex L and words that are met in its place, also of several parts in one word (CHESTABDOMEN).
_CHEST_PART = re.compile(
    r"\b(?:(?:CHEST|THORAX|TORAX)\w*|HEMITHORAX|RIBS?|RIBCAGE|STERNUM|HEART|LUNGS?"
    r"|TORACE|POUMONS?|LUNGEN?|BRUSTKORB|PULMON(?:ES)?|PULMA(?:O|OES)|COSTILLAS?|COSTELAS?|POLMON[EI]"
    r"|BORSTKAS|LONGEN|KLATK[AI] PIERSIOW\w+|PLUCA?)\b"
)
_OF_THE_CHEST = re.compile(r"\bTH?ORAC\w*")
_SPINE = re.compile(r"\bSPINE|\bVERTEBRA|\bCOLUMN|\bCOLONNA|\bRACHIS|\bRAQUIS|WIRBEL|\bWERVEL|\bKREGOSLUP")
_OTHER_PARTS = {
    *("SKULL", "HEAD", "HEADNECK", "BRAIN", "FACE", "JAW", "MANDIBLE", "MAXILLA", "ZYGOMA", "TEETH", "TOOTH", "NOSE"),
    *("SINUS", "SINUSES", "ORBIT", "ORBITS", "EYE", "EAR", "NECK", "SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE"),
    *("COCCYX", "SACRUM", "PELVIS", "HIP", "HIPS", "ABDOMEN", "KUB", "BREAST", "EXTREMITY", "ARM", "ELBOW", "FOREARM"),
    *("HUMERUS", "RADIUS", "ULNA", "WRIST", "HAND", "HANDS", "FINGER", "THUMB", "SHOULDER", "CLAVICLE", "SCAPULA"),
    *("LEG", "THIGH", "FEMUR", "KNEE", "KNEES", "PATELLA", "TIBIA", "FIBULA", "CALF", "ANKLE", "FOOT", "FEET", "TOE"),
    *("CALCANEUS", "HEEL", "COLON", "BLADDER", "KIDNEY", "UTERUS", "PROSTATE"),
}


def refusal(header: Dataset) -> NotAChestRadiographError | None:
    """Reason why an image is no chest radiograph, by its modality, maker and body part.

    Args:
        header: the instance's attributes.

    Returns:
        The reason, or None. Nothing is refused for what the header leaves open.
    """
    modality = text(header, "Modality").upper()
    sop_class = text(header, "SOPClassUID")
    if not _is_projection(modality, sop_class):
        term = modality if modality in _OTHER_MODALITIES else "not one of CR, DX, DR, RG or secondary capture"
        return NotAChestRadiographError(f"Not a chest radiograph: Modality is {term}.")
    if is_own_result(header):
        return NotAChestRadiographError("Not a chest radiograph: it is a result of cxreport.")
    body_part = _other_body_part(header)
    if body_part is not None:
        return NotAChestRadiographError(f"Not a chest radiograph: the body part is {body_part}.")
    return None


def _is_projection(modality: str, sop_class: str) -> bool:
    if modality in _RADIOGRAPHY:
        return True
    if modality in _CAPTURE_MODALITIES:
        return not sop_class or sop_class in _CAPTURE_CLASSES | _RADIOGRAPHY_CLASSES
    return not modality and (not sop_class or sop_class in _CAPTURE_CLASSES | _RADIOGRAPHY_CLASSES)


def _other_body_part(header: Dataset) -> str | None:
    words = words_of(text(header, "BodyPartExamined"))
    if not words:
        words = words_of(" ".join(text(item, "CodeMeaning") for item in sequence(header, "AnatomicRegionSequence")))
    if _CHEST_PART.search(words) or (_OF_THE_CHEST.search(words) and not _SPINE.search(words)):
        return None
    return next((word for word in words.split() if word in _OTHER_PARTS), None)


def is_own_result(header: Dataset) -> bool:
    """True for an image that cxreport made: by manufacturer, software, derivation or contributing equipment."""
    items = sequence(header, "ContributingEquipmentSequence")
    return any(OWN_MARK in stored(item, field).lower() for item in (header, *items) for field in MAKER)


def header_drawbacks(header: Dataset, position: Position, turn: Turn) -> Drawback:
    """What the header says against an image where there is another one of the study.

    Image Type (PS3.3 C.7.6.1.1.2), SOP class, Conversion Type (C.8.6.1), Presentation Intent Type (C.8.11.1), Burned In
    Annotation (C.7.6.1), colour, descriptions of dual-energy parts, decubitus, Patient Orientation.

    Args:
        header: the instance's attributes.
        position: its projection.
        turn: what puts it upright.
    """
    kind = texts(header, "ImageType")
    sop_class = text(header, "SOPClassUID")
    found = {
        Drawback.CAPTURE: _is_capture(header, sop_class),
        Drawback.FOR_PROCESSING: _is_for_processing(header, sop_class, kind),
        Drawback.SECONDARY: "SECONDARY" in kind[1:2],
        Drawback.DECUBITUS: position is Position.UNKNOWN and is_decubitus(header),
        Drawback.DERIVED: "DERIVED" in kind[:1],
        Drawback.ANNOTATED: text(header, "BurnedInAnnotation").upper() == "YES",
        Drawback.NOT_UPRIGHT: bool(turn),
        Drawback.IN_COLOUR: (integer(header, "SamplesPerPixel") or 1) > 1,
    }
    others = [drawback for drawback, is_so in found.items() if is_so]
    return functools.reduce(operator.or_, others, _of_dual_energy(header, kind))


def header_doubts(header: Dataset, drawbacks: Drawback) -> tuple[str, ...]:
    """Warnings for the reader of the report of an image with these drawbacks."""
    doubts = [doubt for drawback, doubt in _DOUBTS.items() if drawback in drawbacks]
    orientation = orientation_doubt(header)
    return (*doubts, orientation) if orientation else tuple(doubts)


def _is_capture(header: Dataset, sop_class: str) -> bool:
    conversion = text(header, "ConversionType").upper()
    if conversion == _DIGITISED_FILM:
        return False
    return (
        conversion in _CAPTURED
        or sop_class in _CAPTURE_CLASSES
        or text(header, "Modality").upper() in _CAPTURE_MODALITIES
    )


def _is_for_processing(header: Dataset, sop_class: str, kind: list[str]) -> bool:
    intent = text(header, "PresentationIntentType").upper()
    if intent:
        return intent == "FOR PROCESSING"
    return sop_class == uid.DigitalXRayImageStorageForProcessing or any(_RAW.search(words_of(term)) for term in kind)


def _of_dual_energy(header: Dataset, kind: list[str]) -> Drawback:
    """Drawback of a part of a dual-energy exposure; a smaller one of an image that may be its standard image.

    All images of the exposure may be called by it, so its name in a description makes none of them a part.
    """
    types = words_of(" | ".join(kind))
    words = f"{types} {words_of(' | '.join(text(header, field) for field in _DESCRIPTIONS))}"
    is_of_one = _DUAL_ENERGY.search(words) is not None
    if _PART.search(words) or (is_of_one and _SHORT_PART.search(words)):
        return Drawback.DUAL_ENERGY
    if not is_of_one or _STANDARD.search(words):
        return NO_DRAWBACK
    return Drawback.DUAL_ENERGY if _DUAL_ENERGY.search(types) else Drawback.SEVERAL_ENERGIES
