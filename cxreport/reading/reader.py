"""Reader of one study: headers, the choice of a view, pixels."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from cxreport.errors import CxreportError, NoFrontalViewError, NotAChestRadiographError, StudyError, UnreadableFileError
from cxreport.reading.choice import Candidate, Choice, in_order
from cxreport.reading.discover import open_image
from cxreport.reading.grey import is_blank
from cxreport.reading.grouping import StudyFiles, unique_names
from cxreport.reading.instance import DecodeLimits, ImageFile, Instance, Rendering
from cxreport.reading.options import ReadOptions
from cxreport.reading.processes.muted_libraries import quiet
from cxreport.stopwatch import Stopwatch
from cxreport.types import Failure, Position, Study, View

log = logging.getLogger(__name__)

_NAMES_IN_A_WARNING = 3
_MAX_REFUSED_VIEWS = 8
"""Views of a study that the model may refuse before the study fails: each is read anew."""
_BLANK = "The pixels are blank."
_COLOURED = "Not a chest radiograph: the pixels are in colour."


OpenImage = Callable[[str, DecodeLimits, bool], ImageFile]
"""Source, limits of decoding, and whether to keep colours -> the open image, as `open_image` gives it."""


def read_files(
    files: StudyFiles,
    options: ReadOptions,
    refused: Mapping[tuple[str, int], str] | None = None,
    opener: OpenImage = open_image,
) -> Iterator[Study | Failure]:
    """Read one of the studies that were discovered, as `read_studies` does.

    Args:
        files: of the study.
        options: of reading.
        refused: reasons by source and frame of views to leave out, because the model refuses them.
        opener: opens an image of the study by its source.
    """
    with contextlib.closing(_Reader(files, options, dict(refused or {}), opener)) as reader:
        try:
            with quiet():  # once, not for each file and frame
                outcome = reader.read()
        except Exception as error:
            log.debug("a study failed", exc_info=error)
            outcome = reader.failure(CxreportError.of(error, "reading the study"))
    if outcome is not None:
        yield outcome
    if isinstance(outcome, Study):
        del outcome  # keep no pixels while the next study is read
        yield from reader.failures()


@dataclass(frozen=True)
class _NextView:
    """Reads a study anew without a view that the model refuses; it goes with the study to other processes."""

    files: StudyFiles
    options: ReadOptions
    refused: dict[tuple[str, int], str]
    """Reasons of the views that were refused before."""
    used: tuple[tuple[str, int], ...]
    """The view that is refused now, and its copies."""

    def __call__(self, reason: str) -> Study | Failure:
        gone = Failure(self.files.id, tuple(self.files.paths), UnreadableFileError("The files hold no image any more."))
        outcomes = read_files(self.files, self.options, self.refused | dict.fromkeys(self.used, reason))
        return next(iter(outcomes), gone)


@dataclass
class _Reader:
    """Reads one study: headers, choice of a view, pixels."""

    files: StudyFiles
    options: ReadOptions
    refused: dict[tuple[str, int], str] = field(default_factory=dict)
    opener: OpenImage = open_image
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
        choice = Choice(in_order(self._images(), self.options.max_frames), passed=dict(self.refused))
        return self._first_usable(choice) or self.failure(self._reason(choice))

    def _first_usable(self, choice: Choice) -> Study | None:
        """The study with the first view that can be read and shows something; else with one that shows nothing."""
        blank = None
        for candidate in choice.following():
            shown = self._rendering(candidate, choice) if self._may_be_used(candidate) else None
            if shown is None:
                continue
            if not (shown.blank or is_blank(shown.pixels)):
                return self._study(candidate, shown, choice)
            choice.passed[candidate.key] = _BLANK
            blank = blank or candidate
        shown = None if blank is None or self.refused else self._rendering(blank, choice)
        return None if blank is None or shown is None else self._study(blank, shown, choice)

    def failure(self, error: CxreportError) -> Failure:
        """The study as one that failed."""
        return Failure(self.files.id, tuple(self.files.paths), error)

    def failures(self) -> Iterator[Failure]:
        """The unreadable files of a study that could be read without them."""
        names = unique_names(list(self.errors))
        for source, error in self.errors.items():
            yield Failure(f"{self.files.id}/{names[source]}", (source,), error)

    def close(self) -> None:
        """Close the file that is open."""
        self._keep_open(None)

    def _inspect(self, source: str) -> None:
        """Sort a file into instances, refusals and errors by its header."""
        try:
            image = self.opener(source, self.options.limits, self.options.colour)
        except StudyError as error:
            self._fail(source, error)
            return
        if self._accepts(image.instance) and (self.image is None or _order(image) < _order(self.image)):
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
        by_image: dict[tuple[str, Position], list[Instance]] = {}
        for instance in self.instances:
            by_image.setdefault((instance.image, instance.position), []).append(instance)
        images = [sorted(copies, key=lambda copy: copy.lossy) for copies in by_image.values()]
        for copies in images:
            if copies[0].frames > self.options.max_frames:
                taken = f"{self.options.max_frames} of {copies[0].frames}"
                self.warnings.append(f"{copies[0].source}: {taken} frames taken.")
        repeats = [copy.source for copies in images for copy in copies[1:]]
        if repeats:
            self.warnings.append(f"Counted once, as it repeats an image of the study: {_list(repeats)}.")
        return images

    def _rendering(self, candidate: Candidate, choice: Choice) -> Rendering | None:
        """Read the pixels of a frame; None, with the reason, where they cannot be decoded or are no radiograph's."""
        instance = candidate.instance
        if instance.source in self.errors and not isinstance(self.errors[instance.source], UnreadableFileError):
            return None
        try:
            with self.watch.stage("pixels"):
                if self.image is None or self.image.instance.source != instance.source:
                    self._keep_open(self.opener(instance.source, self.options.limits, self.options.colour))
                assert self.image is not None
                shown = self.image.rendering(candidate.frame)
        except StudyError as error:
            choice.passed[candidate.key] = error.message
            self._fail(instance.source, error)
            return None
        if shown.coloured and not self.options.force:
            choice.passed[candidate.key] = _COLOURED
            return None
        return shown

    def _study(self, used: Candidate, shown: Rendering, choice: Choice) -> Study:
        instance = used.instance
        self._warn_of_passed(used, choice)
        self.errors.pop(instance.source, None)  # that of another frame
        doubts = self._doubts(instance, shown)
        return Study(
            id=self.files.id,
            sources=tuple(self.files.paths),
            view=View(choice.used(used, shown.changes), shown.pixels),
            other_views=tuple(view for view in choice.others(used) if view.source not in self.errors),
            warnings=(*self.files.warnings, *self.warnings, *doubts),
            timing_ms=self.watch.timing_ms,
            next_view=self._next_view(used, choice),
            doubts=doubts,
        )

    def _doubts(self, instance: Instance, shown: Rendering) -> tuple[str, ...]:
        """Warnings of what speaks against the view that is used."""
        doubts = [*instance.doubts, *shown.warnings]
        if instance.refusal is not None:
            doubts.append(f"Read although refused otherwise. {instance.refusal.message}")
        if shown.coloured:
            doubts.append(f"Read although refused otherwise. {_COLOURED}")
        if not instance.position.frontal:
            doubts.append("The view is lateral; the model was made for frontal views.")
        return tuple(doubts)

    def _next_view(self, used: Candidate, choice: Choice) -> _NextView | None:
        """What reads the next view, if there is one that may be tried."""
        left = [c for c in choice.following() if c.depicted != used.depicted and self._may_be_used(c)]
        if not left or len(self.refused) >= _MAX_REFUSED_VIEWS:
            return None
        return _NextView(self.files, self.options, self.refused, tuple(copy.key for copy in choice.copies(used)))

    def _may_be_used(self, candidate: Candidate) -> bool:
        return candidate.instance.position.frontal or self.options.force

    def _reason(self, choice: Choice) -> StudyError:
        """The reason why there is no view: damage weighs more than a wrong projection, and that more than a refusal."""
        if self.errors:
            return next(iter(self.errors.values()))
        if choice.passed:
            return NotAChestRadiographError(next(iter(choice.passed.values())))
        if self.instances:
            return NoFrontalViewError("The study has lateral views only.")
        return self.refusals[0][1]

    def _fail(self, source: str, error: StudyError) -> None:
        if source not in self.errors:
            self.warnings.append(f"{source}: {error.message}")
        self.errors[source] = error

    def _warn_of_passed(self, used: Candidate, choice: Choice) -> None:
        """Name the views that were tried in vain, but for files that are unreadable and named already."""
        by_reason: dict[str, list[str]] = {}
        for candidate in choice.candidates:
            reason = choice.passed.get(candidate.key)
            source = candidate.instance.source
            if reason is not None and candidate.depicted != used.depicted and source not in self.errors:
                frame = f", frame {candidate.frame}" if candidate.instance.frames > 1 else ""
                by_reason.setdefault(reason, []).append(f"{source}{frame}")
        for reason, names in by_reason.items():
            self.warnings.append(f"{reason} Passed over: {_list(names)}.")

    def _warn_of_refusals(self) -> None:
        ordered = sorted(self.refusals, key=lambda refusal: refusal[1].message)
        for message, refusals in groupby(ordered, key=lambda refusal: refusal[1].message):
            self.warnings.append(f"{message} Passed over: {_list([source for source, _ in refusals])}.")


def _order(image: ImageFile) -> tuple[int, bool]:
    """Sort key of images: the lower, the likelier is the image the one to read."""
    return int(image.instance.rank), image.instance.lossy


def _list(sources: list[str]) -> str:
    """A few names; a CT series would fill the screen."""
    names, surplus = ", ".join(sources[:_NAMES_IN_A_WARNING]), len(sources) - _NAMES_IN_A_WARNING
    return f"{names} and {surplus} more" if surplus > 0 else names
