"""Choice of a view: all frames of a study's images in the order in which they are to be used, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cxreport.reading.instance import NO_DRAWBACK, Drawback, Instance
from cxreport.types import ViewInfo

_THUMBNAIL_SIDE = 256
"""A smaller picture may be a thumbnail, if another one of the study has many times its pixels."""
_THUMBNAIL_SHARE = 1 / 16
_PAGE_SHARE = 1 / 4
"""A page with no more than this share of the pixels of another page of its file is a smaller version."""


@dataclass(frozen=True)
class Candidate:
    """A frame that could feed the model."""

    instance: Instance
    frame: int
    rank: Drawback
    """The lower, the better."""

    @property
    def key(self) -> tuple[str, int]:
        """Source and frame."""
        return self.instance.source, self.frame

    @property
    def depicted(self) -> tuple[str, str, int]:
        """What it shows: the same for copies of an image."""
        return self.instance.image, self.instance.position, self.frame

    def info(self, reason: str = "", changes: tuple[str, ...] = ()) -> ViewInfo:
        """The view that it is, used or not for a reason."""
        return ViewInfo(self.instance.source, self.frame, self.instance.position, reason=reason, changes=changes)


@dataclass
class Choice:
    """Candidates of a study in their order, and what became of them."""

    candidates: list[Candidate]
    """Best first."""
    passed: dict[tuple[str, int], str] = field(default_factory=dict)
    """Reasons of those that were tried in vain, by `Candidate.key`, in sentences."""

    def following(self) -> Iterator[Candidate]:
        """Candidates that were not yet tried, one after the other."""
        return (candidate for candidate in self.candidates if candidate.key not in self.passed)

    def others(self, used: Candidate) -> Iterator[ViewInfo]:
        """The views that are not used, best first, with what weighs against them; of copies the best one."""
        seen = {used.depicted}
        for candidate in self.candidates:
            if candidate.depicted not in seen:
                seen.add(candidate.depicted)
                reason = self.passed.get(candidate.key, "").rstrip(".") or (candidate.rank & ~used.rank).reason
                yield candidate.info(reason or "as good as the used one, which comes first")

    def copies(self, of: Candidate) -> list[Candidate]:
        """A candidate and its copies."""
        return [candidate for candidate in self.candidates if candidate.depicted == of.depicted]

    def used(self, candidate: Candidate, changes: tuple[str, ...]) -> ViewInfo:
        """A candidate as the view that is used."""
        views = list(dict.fromkeys(other.depicted for other in self.candidates))
        number = views.index(candidate.depicted) + 1
        if len(views) == 1:
            return candidate.info("the only view", changes)
        skipped = "" if number == 1 else "; those before it could not be used"
        return candidate.info(f"number {number} of {len(views)} in order of preference{skipped}", changes)


def in_order(images: Sequence[Sequence[Instance]], max_frames: int) -> list[Candidate]:
    """All frames of images as candidates, in the order of preference.

    Of frames without a difference the first goes first, and of copies the first of each frame.

    Args:
        images: copies of each image, the best first.
        max_frames: of an image.
    """
    largest = max((size for copies in images for copy in copies for size in copy.sizes), default=0)
    candidates = [
        Candidate(copy, frame, copy.rank | _thumbnail(copy, frame, largest))
        for copies in images
        for frame in range(min(max(copy.frames for copy in copies), max_frames))
        for copy in copies
        if frame < copy.frames
    ]
    return sorted(candidates, key=lambda candidate: int(candidate.rank))


def _thumbnail(instance: Instance, frame: int, largest: int) -> Drawback:
    sizes = instance.sizes or (0,)
    size = sizes[frame] if frame < len(sizes) else sizes[0]
    is_thumbnail = (
        frame in instance.reduced
        or size < min(_THUMBNAIL_SIDE**2, _THUMBNAIL_SHARE * largest)
        or size <= _PAGE_SHARE * max(sizes)
    )
    return Drawback.THUMBNAIL if is_thumbnail else NO_DRAWBACK
