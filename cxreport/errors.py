"""Errors in one hierarchy, each with a code for programs and a next step for people, and the table of exit codes.

The library raises and never prints; the command line prints and exits in one place. Texts never carry patient data:
they name files as the user named them, and DICOM keywords, not values.
"""

from __future__ import annotations

import enum
import re

_SAYS_OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|cannot allocate|unable to allocate|bad_alloc", re.I)
"""Texts of libraries in C and C++; they have errors of their own for it."""


class ExitCode(enum.IntEnum):
    """Exit codes of the command line: the table that help, documentation and tests read.

    Attributes:
        meaning: a few words, for ``--help``.
        note: more words, for the documentation; empty where there is no more to say.
    """

    meaning: str
    note: str

    def __new__(cls, code: int, meaning: str, note: str = "") -> ExitCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.note = note
        return member

    OK = 0, "all done"
    UNEXPECTED = 1, "unexpected error"
    USAGE = 2, "usage", "options, or a file that they name"
    NOTHING_READABLE = 3, "nothing readable", "no study or line among the inputs, or every one failed"
    BUNDLE = 4, "bundle unusable"
    EXTRA_MISSING = 5, "an extra is missing"
    SOME_FAILED = 6, "some inputs failed", "the others are done"
    NOT_DELIVERED = 7, "not delivered", "drafted, and kept to be delivered later"
    HUNG_UP = 129, "hung up", "by SIGHUP, as when a terminal closes; records are complete up to there"
    INTERRUPTED = 130, "interrupted", "by Ctrl-C; records are complete up to there"
    TERMINATED = 143, "terminated", "by SIGTERM; records are complete up to there"


class CxreportError(Exception):
    """Base of all errors of cxreport.

    Attributes:
        code: stable, machine-readable name.
        exit_code: what the command line exits with when the error ends the run.
        hint: the next step for the user.
    """

    code = "unexpected"
    exit_code = ExitCode.UNEXPECTED
    hint = "Please report this with the output of `cxreport info`."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    @classmethod
    def of(cls, error: Exception, activity: str) -> CxreportError:
        """The error itself, or of an unexpected one its kind alone, as its text may quote patient data."""
        if isinstance(error, CxreportError):
            return error
        if lacks_memory(error):
            return OutOfMemoryError()
        return cls(f"{type(error).__name__} while {activity}.")


class UsageError(CxreportError):
    """The options do not go together, or a value is out of range."""

    code = "usage"
    exit_code = ExitCode.USAGE
    hint = "See `cxreport --help`."


class StudyError(CxreportError):
    """One study failed; the run goes on."""

    code = "unreadable"
    exit_code = ExitCode.SOME_FAILED
    hint = "Check the path, and that the file opens in an image viewer."


class UnreadableFileError(StudyError):
    """Neither DICOM nor a picture, truncated, or damaged."""


class ReaderEndedError(StudyError):
    """The process that read the study was ended by it: a codec crashed, or memory ran out."""

    code = "reader-ended"
    hint = "The file may be damaged, or need more memory than there is: try it alone."


class TimedOutError(StudyError):
    """Reading the study took longer than the limit."""

    code = "timed-out"
    hint = "Raise the limit with --timeout if the file is sound, or its disk slow."


class OutOfMemoryError(StudyError):
    """There was less memory than reading the study takes; its files may be sound."""

    code = "out-of-memory"
    hint = (
        "Free memory or raise its limit (ulimit -v), take fewer --workers, or raise --max-megapixels for large images."
    )

    def __init__(self, message: str = "There is not enough memory to read the study.", *, hint: str | None = None):
        super().__init__(message, hint=hint)


class MissingCodecError(StudyError):
    """The transfer syntax needs a plugin that is not installed."""

    code = "missing-codec"
    hint = "Install the package that the message names."


class TooLargeError(StudyError):
    """More pixels than the limit allows: a decompression bomb, or a limit set too low."""

    code = "too-large"
    hint = "Raise the limit with --max-megapixels if you trust the file."


class NotAChestRadiographError(StudyError):
    """Modality, body part or pixels are those of another kind of image."""

    code = "not-a-chest-radiograph"
    hint = "Use --force to draft a report all the same."


class NoFrontalViewError(StudyError):
    """The study has only lateral views."""

    code = "no-frontal-view"
    hint = "The model reads frontal views (PA or AP); use --force to use a lateral one."


class InvalidTagsError(StudyError):
    """A row of a tag table is unusable."""

    code = "invalid-tags"
    hint = "Probabilities are numbers from 0 to 1, one column per tag of `cxreport info --json`."


class InvalidTextError(StudyError):
    """A line of texts to label is unusable."""

    code = "invalid-text"
    hint = "A line or row has id and text; a line may be a record of `cxreport generate --json` with a report."


class InvalidRecordError(StudyError):
    """A record to render is unusable, or its source is not the file that it was drafted from."""

    code = "invalid-record"
    hint = "Records are what `cxreport generate --json` writes with this version, unaltered."


class RecordedError(StudyError):
    """The failure that a record tells of."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class MissingHeaderError(StudyError):
    """The format needs the patient and the study of a DICOM header, and the study has none."""

    code = "no-dicom-header"
    hint = "Use --format json for pictures and for files without a patient."


class MissingMapsError(StudyError):
    """The format shows where the sentences of a report look, and they have no maps, or there is no picture of them."""

    code = "no-maps"
    hint = "Draft the study with a bundle that maps sentences to the image, or with --attention where it is rendered."


class OutputError(CxreportError):
    """The output cannot be written any more: the disk is full, or the file is gone."""

    code = "output"
    hint = "Make room or name another --out; the results so far are whole, and --resume goes on from there."


class DeliveryError(CxreportError):
    """Results cannot be delivered for now: the destination cannot be reached, or takes none from us."""

    code = "not-delivered"
    exit_code = ExitCode.NOT_DELIVERED
    hint = "Check the destination of --to and that it knows the AE title; what is not delivered is kept."


class NothingReadableError(CxreportError):
    """No study among the inputs."""

    code = "nothing-readable"
    exit_code = ExitCode.NOTHING_READABLE
    hint = "Name DICOM, PNG, JPEG or TIFF files, or folders that hold some."


class BundleError(CxreportError):
    """The model bundle is missing, incomplete, altered or of another version."""

    code = "bundle"
    exit_code = ExitCode.BUNDLE
    hint = "Reinstall cxreport, or name a bundle folder with --model."


class DeviceError(CxreportError):
    """The device asked for is not usable."""

    code = "device"
    exit_code = ExitCode.USAGE
    hint = "Use --device cpu, or install the CUDA and cuDNN libraries: pip install 'cxreport[cuda]'."


class MissingExtraError(CxreportError):
    """A command needs an optional extra."""

    code = "extra-missing"
    exit_code = ExitCode.EXTRA_MISSING

    def __init__(self, feature: str, extra: str) -> None:
        install = f"pip install 'cxreport[{extra}]', or '.[{extra}]' in a clone"
        super().__init__(f"{feature} needs the '{extra}' extra.", hint=install)


class RetrievalIndexError(CxreportError):
    """An index is missing, damaged, or of another bundle."""

    code = "index"
    exit_code = ExitCode.USAGE
    hint = "Build it with `cxreport index build`."


class TrainingError(CxreportError):
    """Training data or a run folder are unusable."""

    code = "training"
    exit_code = ExitCode.USAGE
    hint = "Check the data folder and the recipe."


class ExportError(CxreportError):
    """An exported bundle failed its own checks; nothing was written."""

    code = "export"
    exit_code = ExitCode.BUNDLE
    hint = "Train again, or report this with the figures above."


def lacks_memory(error: BaseException | None) -> bool:
    """True of an error that a lack of memory caused, whatever a library made of it."""
    while error is not None:
        if isinstance(error, MemoryError) or _SAYS_OUT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
