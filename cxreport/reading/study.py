"""Files and folders to studies: one at a time, each with the frontal view that feeds the model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from cxreport.errors import CxreportError, NoFrontalViewError, StudyError, UnreadableFileError
from cxreport.reading import pictures
from cxreport.reading.dicom import views
from cxreport.reading.discover import Group, Kind, index, sniff
from cxreport.reading.instance import DecodeLimits, Instance
from cxreport.reading.stopwatch import Stopwatch
from cxreport.types import Failure, Position, Study, View, ViewInfo

log = logging.getLogger(__name__)

_PREFERENCE = (Position.PA, Position.AP, Position.UNKNOWN, Position.LATERAL)
_NAMES_IN_A_WARNING = 3


@dataclass(frozen=True)
class ReadOptions:
    """What to accept, and how files make a study."""

    force: bool = False
    """Read what would be refused: another modality, another body part, lateral views only."""
    group_by: Literal["study", "folder"] = "study"
    """For image files that are not DICOM: each is a study, or each folder is."""
    max_megapixels: float = 100.0
    """Limit per frame, checked before decoding."""
    max_frames: int = 16
    """Views taken from an instance with several frames or pages."""
    colour: bool = False
    """Keep the colours of pictures, for a model that sees them; DICOM images become grey all the same."""
    side: int | None = None
    """Side of the square that the pixels are needed for: the view may then have fewer pixels than the image, never too
    few for `network_input`. None keeps every pixel."""

    @property
    def limits(self) -> DecodeLimits:
        """The options that bound decoding."""
        return DecodeLimits(self.max_megapixels, self.side)


def read_studies(paths: Iterable[Path], options: ReadOptions = ReadOptions()) -> Iterator[Study | Failure]:
    """Find, group and read studies, one at a time.

    A first pass reads headers and keeps an index of paths; pixels are read when the study's turn comes, and only those
    of the view that is used. Content decides what a file is. In folders, hidden files, DICOMDIR, operating-system
    leftovers, DICOM objects without an image and files that are plainly something else are passed over; a file that is
    named must be readable.

    Args:
        paths: files, and folders to search.
        options: what to accept.

    Yields:
        Studies and failures in order of first appearance: named order, then sorted within a folder. Ids are
        pseudonyms: a digest of the Study Instance UID, or the name of the image file or folder. Nothing is raised for
        a study that cannot be read; an unreadable file of a study that can is a failure of its own, behind the study.
    """
    for group in index(paths, options.group_by):
        yield from read_group(group, options)


def read_group(group: Group, options: ReadOptions) -> Iterator[Study | Failure]:
    """Read one study of an index, as `read_studies` does."""
    reader = _Reader(group, options)
    try:
        outcome = reader.read()
    except Exception as error:
        log.debug("a study failed", exc_info=error)
        yield reader.failure(CxreportError(f"{type(error).__name__} while reading the study."))
        return
    if outcome is not None:
        yield outcome
    if isinstance(outcome, Study):
        del outcome  # keep no pixels while the next study is read
        yield from reader.failures()


@dataclass
class _Reader:
    """Reads one study: headers, choice of a view, pixels."""

    group: Group
    options: ReadOptions
    instances: list[Instance] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: dict[str, StudyError] = field(default_factory=dict)
    """By file."""
    refusals: list[tuple[str, StudyError]] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)

    def read(self) -> Study | Failure | None:
        """The study or why it failed; None when it holds no image and nobody asked for it by name."""
        with self.watch.stage("read"):
            for source in self.group.members:
                self._inspect(source)
        if not (self.instances or self.errors or self.refusals):
            return None
        self._warn_of_refusals()
        images = self._images()
        for instance in self._candidates(images):
            with self.watch.stage("pixels"):
                view = self._view(instance)
            if view is not None:
                return self._study(view, images)
        return self.failure(self._reason())

    def failure(self, error: CxreportError) -> Failure:
        """The study as one that failed."""
        return Failure(self.group.id, tuple(self.group.members), error)

    def failures(self) -> Iterator[Failure]:
        """The unreadable files of a study that could be read without them."""
        for source, error in self.errors.items():
            yield Failure(os.path.basename(source), (source,), error)

    def _inspect(self, source: str) -> None:
        try:
            instance = _inspect(source, self.options.limits)
        except StudyError as error:
            self._fail(source, error)
            return
        if instance.frames == 0:
            if source in self.group.named:
                self._fail(source, UnreadableFileError("The file is DICOM but holds no image."))
        elif instance.refusal is not None and not self.options.force:
            self.refusals.append((source, instance.refusal))
        else:
            self.instances.append(instance)

    def _images(self) -> list[list[Instance]]:
        """Instances by what they depict, the least compressed first; later ones are spare copies."""
        by_image: dict[str, list[Instance]] = {}
        for instance in self.instances:
            by_image.setdefault(instance.image, []).append(instance)
        images = [sorted(copies, key=lambda copy: copy.lossy) for copies in by_image.values()]
        repeats = [copy.source for copies in images for copy in copies[1:]]
        if repeats:
            self.warnings.append(f"Counted once, as it repeats an image of the study: {_list(repeats)}.")
        return images

    def _candidates(self, images: list[list[Instance]]) -> list[Instance]:
        """What may be shown to the model, best first; a copy steps in when its original cannot be decoded."""
        chosen = [copies for copies in images if copies[0].position.frontal or self.options.force]
        chosen.sort(key=lambda copies: _PREFERENCE.index(copies[0].position))
        return [copy for copies in chosen for copy in copies]

    def _view(self, instance: Instance) -> View | None:
        try:
            if instance.is_picture:
                return pictures.read_view(instance, 0, self.options.limits, self.options.colour)
            return views.read_view(instance, 0, self.options.limits)
        except StudyError as error:
            self._fail(instance.source, error)
            return None

    def _study(self, view: View, images: list[list[Instance]]) -> Study:
        others: list[ViewInfo] = []
        for copies in images:
            shown = next((copy for copy in copies if copy.source not in self.errors), None)
            if shown is None:
                continue
            if shown.frames > self.options.max_frames:
                self.warnings.append(f"{shown.source}: {self.options.max_frames} of {shown.frames} frames taken.")
            others += [
                ViewInfo(shown.source, frame, shown.position)
                for frame in range(min(shown.frames, self.options.max_frames))
            ]
        others.remove(view.info)
        if not view.info.position.frontal:
            self.warnings.append("The view is lateral; the model was made for frontal views.")
        spent = self.watch.timing_ms
        return Study(
            self.group.id, tuple(self.group.members), view, tuple(others), tuple(self.warnings), timing_ms=spent
        )

    def _reason(self) -> StudyError:
        """Why there is no view: damage weighs more than a wrong projection, and that more than a refusal."""
        if self.errors:
            return next(iter(self.errors.values()))
        if self.instances:
            return NoFrontalViewError("The study has lateral views only.")
        return self.refusals[0][1]

    def _fail(self, source: str, error: StudyError) -> None:
        self.errors[source] = error
        self.warnings.append(f"{source}: {error.message}")

    def _warn_of_refusals(self) -> None:
        ordered = sorted(self.refusals, key=lambda refusal: refusal[1].message)
        for message, refused in groupby(ordered, key=lambda refusal: refusal[1].message):
            self.warnings.append(f"{message} Passed over: {_list([source for source, _ in refused])}.")


def _inspect(source: str, limits: DecodeLimits) -> Instance:
    kind = sniff(source)
    if kind is Kind.DICOM:
        return views.inspect(source, limits)
    if kind is Kind.PICTURE:
        return pictures.inspect(source)
    raise UnreadableFileError("The file is neither DICOM nor a PNG, JPEG or TIFF picture.")


def _list(sources: list[str]) -> str:
    """A few names; a CT series would fill the screen."""
    shown = ", ".join(sources[:_NAMES_IN_A_WARNING])
    rest = len(sources) - _NAMES_IN_A_WARNING
    return f"{shown} and {rest} more" if rest > 0 else shown
