"""Studies read from files and folders, one at a time, each with the frontal view that feeds the model."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

from cxreport.errors import (
    CxreportError,
    NoFrontalViewError,
    NothingReadableError,
    StudyError,
    UnreadableFileError,
    UsageError,
)
from cxreport.reading.discover import StudyFiles, group_files, open_image
from cxreport.reading.instance import DecodeLimits, ImageFile, Instance
from cxreport.reading.stopwatch import Stopwatch
from cxreport.types import Failure, Position, Study, View, ViewInfo

log = logging.getLogger(__name__)

_PREFERENCE = (Position.PA, Position.AP, Position.UNKNOWN, Position.LATERAL)
_NAMES_IN_A_WARNING = 3


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading: images to accept, and files that make a study."""

    force: bool = False
    """Read images that are refused otherwise: another modality, another body part, lateral views only."""
    group_by: Literal["study", "folder"] = "study"
    """For image files that are not DICOM: each is a study, or each folder is."""
    max_megapixels: float = 100.0
    """Limit per frame, checked before decoding."""
    salt: str | None = None
    """Key of the pseudonyms of DICOM studies; None takes the user's own secret, see `pseudonym`."""
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

    A first pass opens every file once and keeps the paths of each study. When a study's turn comes, its headers are
    read, and the pixels of the view that is used, from a file that is still open. Content decides what a file is. In
    folders, hidden files, DICOMDIR, operating-system leftovers, DICOM objects without an image and files that are
    plainly something else are passed over; a file that is named must be readable.

    Args:
        paths: files, and folders to search.
        options: of reading.

    Yields:
        Studies and failures in order of first appearance: named order, then sorted within a folder. Ids are
        pseudonyms: a keyed digest of the Study Instance UID, or the name of the image file or folder. Nothing is raised
        for a study that cannot be read; an unreadable file of a study that can is a failure of its own, behind it.
    """
    for files in group_files(paths, options.group_by, options.salt):
        yield from read_files(files, options)


def read_study(path: Path, options: ReadOptions = ReadOptions()) -> Study:
    """Read the one study of a file or folder.

    Args:
        path: a file, or a folder to search.
        options: of reading.

    Returns:
        The only study that can be read; files that cannot are named among its warnings.

    Raises:
        NothingReadableError: there is no study, or none that can be read.
        UsageError: there are several.
    """
    return only_study(path, read_studies([path], options))


def only_study(path: Path, outcomes: Iterable[Study | Failure]) -> Study:
    """The one study among the outcomes of reading a file or folder, as `read_study` returns it."""
    study: Study | None = None
    failures: list[Failure] = []
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif study is not None:
            raise UsageError(f"{path}: holds several studies.", hint="Name one file, or the folder of one study.")
        else:
            study = outcome
    if study is None:
        raise _no_study(path, failures)
    foreign = [failure for failure in failures if not set(failure.sources) <= set(study.sources)]
    warnings = [f"{', '.join(failure.sources)}: {failure.error.message}" for failure in foreign]
    return replace(study, warnings=(*study.warnings, *warnings))


def _no_study(path: Path, failures: list[Failure]) -> CxreportError:
    """The error of a path without a study that can be read; the first failure says why."""
    if not failures:
        return NothingReadableError(f"{path}: no study.")
    error = failures[0].error
    if not isinstance(error, StudyError):
        return error
    return NothingReadableError(f"{path}: {error.message}", hint=error.hint)


def read_files(files: StudyFiles, options: ReadOptions) -> Iterator[Study | Failure]:
    """Read one of the studies that were discovered, as `read_studies` does."""
    with contextlib.closing(_Reader(files, options)) as reader:
        try:
            outcome = reader.read()
        except Exception as error:
            log.debug("a study failed", exc_info=error)
            outcome = reader.failure(CxreportError.of(error, "reading the study"))
    if outcome is not None:
        yield outcome
    if isinstance(outcome, Study):
        del outcome  # keep no pixels while the next study is read
        yield from reader.failures()


@dataclass
class _Reader:
    """Reads one study: headers, choice of a view, pixels."""

    files: StudyFiles
    options: ReadOptions
    instances: list[Instance] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: dict[str, StudyError] = field(default_factory=dict)
    """By file."""
    refusals: list[tuple[str, StudyError]] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)
    image: ImageFile | None = None
    """The open file of the best instance so far: the one whose pixels are most likely to be read."""

    def read(self) -> Study | Failure | None:
        """The study or why it failed; None when it holds no image and nobody asked for it by name."""
        with self.watch.stage("read"):
            for source in self.files.paths:
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
        return Failure(self.files.id, tuple(self.files.paths), error)

    def failures(self) -> Iterator[Failure]:
        """The unreadable files of a study that could be read without them."""
        for source, error in self.errors.items():
            yield Failure(os.path.basename(source), (source,), error)

    def close(self) -> None:
        """Close the file that is open."""
        self._keep_open(None)

    def _inspect(self, source: str) -> None:
        """Sort a file into instances, refusals and errors by its header."""
        try:
            image = open_image(source, self.options.limits, self.options.colour)
        except StudyError as error:
            self._fail(source, error)
            return
        if self._accepts(image.instance) and (self.image is None or _rank(image) < _rank(self.image)):
            self._keep_open(image)
        else:
            image.close()

    def _accepts(self, instance: Instance) -> bool:
        """Take an instance up, or note down the reason why it is not to be read."""
        source = instance.source
        if instance.frames == 0:
            if source in self.files.named:
                self._fail(source, UnreadableFileError("The file is DICOM but holds no image."))
            return False
        if instance.refusal is not None and not self.options.force:
            self.refusals.append((source, instance.refusal))
            return False
        self.instances.append(instance)
        return True

    def _keep_open(self, image: ImageFile | None) -> None:
        """Keep a file open in the place of the one before."""
        if self.image is not None:
            self.image.close()
        self.image = image

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
        """Instances for the model to see, best first; a copy steps in when its original cannot be decoded."""
        candidates = [copies for copies in images if copies[0].position.frontal or self.options.force]
        candidates.sort(key=lambda copies: _PREFERENCE.index(copies[0].position))
        return [copy for copies in candidates for copy in copies]

    def _view(self, instance: Instance) -> View | None:
        """Read an instance's pixels; None, with an error by its file, where they cannot be decoded."""
        try:
            image = self.image
            if image is None or image.instance is not instance:
                image = open_image(instance.source, self.options.limits, self.options.colour)
                self._keep_open(image)
            return View(ViewInfo(instance.source, 0, instance.position), image.pixels(0))
        except StudyError as error:
            self._fail(instance.source, error)
            return None

    def _study(self, view: View, images: list[list[Instance]]) -> Study:
        other_views: list[ViewInfo] = []
        for copies in images:
            instance = next((copy for copy in copies if copy.source not in self.errors), None)
            if instance is None:
                continue
            if instance.frames > self.options.max_frames:
                self.warnings.append(f"{instance.source}: {self.options.max_frames} of {instance.frames} frames taken.")
            other_views += [
                ViewInfo(instance.source, frame, instance.position)
                for frame in range(min(instance.frames, self.options.max_frames))
            ]
        other_views.remove(view.info)
        if not view.info.position.frontal:
            self.warnings.append("The view is lateral; the model was made for frontal views.")
        return Study(
            id=self.files.id,
            sources=tuple(self.files.paths),
            view=view,
            other_views=tuple(other_views),
            warnings=tuple(self.warnings),
            timing_ms=self.watch.timing_ms,
        )

    def _reason(self) -> StudyError:
        """The reason why there is no view: damage weighs more than a wrong projection, and that more than a refusal."""
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
        for message, refusals in groupby(ordered, key=lambda refusal: refusal[1].message):
            self.warnings.append(f"{message} Passed over: {_list([source for source, _ in refusals])}.")


def _rank(image: ImageFile) -> tuple[int, bool]:
    """Sort key of images: the lower, the likelier is the image the one to read."""
    return _PREFERENCE.index(image.instance.position), image.instance.lossy


def _list(sources: list[str]) -> str:
    """A few names; a CT series would fill the screen."""
    names = ", ".join(sources[:_NAMES_IN_A_WARNING])
    surplus = len(sources) - _NAMES_IN_A_WARNING
    return f"{names} and {surplus} more" if surplus > 0 else names
