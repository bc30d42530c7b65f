"""Every error ogcast raises on purpose, in one tree, with the exit code on the class.

    OgcastError                     40  anything not named below
    ├── LocalError                      our side: the operator, this machine
    │   ├── UsageError               1  arguments that make no sense, malformed names, bad configuration
    │   ├── NotFoundError            2  unknown image, missing file
    │   ├── PartitionError           3  a device was expected and this is none, or it went away
    │   ├── LockedError              4  target mounted or busy; another capture of that name is running
    │   ├── ReadOnlyError           14  target cannot be written
    │   ├── NoCacheError            15  no CACHE
    │   ├── CacheFullError          16  the image does not fit in the CACHE
    │   ├── FileSystemError         20  the file system tool refused the source
    │   ├── CacheDamagedError       21  the CACHE itself is unusable
    │   ├── RepositoryError         23  repository unusable: not a repository, full, damaged index
    │   │   └── RepositoryFullError 23
    │   ├── TargetTooSmallError     30  the target is smaller than the image
    │   └── ImageFileError          33  a source file is truncated, damaged or of no known format
    └── RemoteError                     the other side: a repository, a peer, what they sent
        ├── ConnectionFailedError   23  cannot reach the repository
        │   └── SessionOverError    23  it answers, and does not know this session any more
        ├── BusyError               23  the repository is at a limit or stopping; worth trying again later
        ├── AuthenticationError     23  wrong certificate, wrong or expired token
        ├── ImageError               5  manifest or chunk that is not what its signature or digest says
        │   ├── ManifestError        5  malformed, unknown critical key, wrong version, overlapping extents
        │   └── ChunkError           5  a stored frame that does not decode to its digest
        ├── ProtocolError           53  a peer broke the protocol of a data lane
        ├── PathError               57  one transport cannot serve this client; another may
        ├── TransferError           53  the transfer ended and the target is not complete
        ├── CacheTransferError      31  the transfer ended and the CACHE is not up to date
        └── CaptureError            52  an upload that could not be finished

The codes are those of OpenGnsys (client/shared/etc/preinit/loadenviron.sh) where one fits.
A remote error never stops a daemon; it ends the request, session or peer it belongs to.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # a name for the checker alone: every command imports this first, and `typing` takes 3 ms
    from typing import ClassVar

__all__ = [
    "AuthenticationError",
    "BusyError",
    "CacheDamagedError",
    "CacheFullError",
    "CacheTransferError",
    "CaptureError",
    "ChunkError",
    "ConnectionFailedError",
    "FileSystemError",
    "ImageError",
    "ImageFileError",
    "LocalError",
    "LockedError",
    "ManifestError",
    "NoCacheError",
    "NotFoundError",
    "OgcastError",
    "PartitionError",
    "PathError",
    "ProtocolError",
    "ReadOnlyError",
    "RemoteError",
    "RepositoryError",
    "RepositoryFullError",
    "SessionOverError",
    "TargetTooSmallError",
    "TransferError",
    "UsageError",
]


class OgcastError(Exception):
    """Base of all errors meant for a person: a message, and a hint that says what to do next."""

    exit_code: ClassVar[int] = 40

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class LocalError(OgcastError):
    """Misuse or trouble on this machine."""


class UsageError(LocalError):
    """Arguments, names or settings that make no sense."""

    exit_code = 1


class NotFoundError(LocalError):
    """An image or file that does not exist."""

    exit_code = 2


class PartitionError(LocalError):
    """A block device was expected and this is none, or it vanished."""

    exit_code = 3


class LockedError(LocalError):
    """Somebody else uses it: mounted, opened exclusively, or under capture."""

    exit_code = 4


class ReadOnlyError(LocalError):
    """A target that refuses writes."""

    exit_code = 14


class NoCacheError(LocalError):
    """There is no CACHE where one is needed."""

    exit_code = 15


class CacheFullError(LocalError):
    """The image does not fit in the CACHE."""

    exit_code = 16


class FileSystemError(LocalError):
    """A file system tool (partclone.<fs>) refused the source."""

    exit_code = 20


class CacheDamagedError(LocalError):
    """The CACHE cannot be opened as one."""

    exit_code = 21


class RepositoryError(LocalError):
    """The repository directory is unusable."""

    exit_code = 23


class RepositoryTroubleError(RepositoryError):
    """The disk or this process is in trouble that may pass (no descriptors, an I/O error): nothing says that the chunk
    in question is damaged."""


class RepositoryFullError(RepositoryError):
    """No space left where the repository lives; what was there before is untouched."""


class TargetTooSmallError(LocalError):
    """The target has fewer bytes than the image."""

    exit_code = 30


class ImageFileError(LocalError):
    """A source to import is truncated, damaged or of no known format."""

    exit_code = 33


class RemoteError(OgcastError):
    """The other side misbehaved or cannot be reached."""


class ConnectionFailedError(RemoteError):
    """The repository does not answer."""

    exit_code = 23


class SessionOverError(ConnectionFailedError):
    """The repository answers and has ended this session, most likely by a restart: another can be opened at once."""


class BusyError(RemoteError):
    """The repository reached one of its limits, or is stopping; trying again later makes sense."""

    exit_code = 23


class AuthenticationError(RemoteError):
    """The certificate is not the pinned one, or the token is wrong or expired."""

    exit_code = 23


class ImageError(RemoteError):
    """Data that is not what its signature or digest promises."""

    exit_code = 5


class ManifestError(ImageError):
    """A manifest that is malformed, unsigned, or needs a newer reader."""


class ChunkError(ImageError):
    """A stored frame that does not decode to the chunk its digest names."""


class ProtocolError(RemoteError):
    """A peer sent something its protocol does not allow."""

    exit_code = 53


class PathError(RemoteError):
    """One transport cannot serve this client, or not for a while: take another for what is lacking.

    The message says why, in words for the operator of the network.
    """

    exit_code = 57

    def __init__(self, message: str, *, hint: str | None = None, again_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.again_after_s = again_after_s
        """Seconds after which trying again makes sense; None: it does not."""


class TransferError(RemoteError):
    """A transfer to a partition or file ended before the image was complete."""

    exit_code = 53


class CacheTransferError(RemoteError):
    """A transfer into the CACHE ended before the image was complete."""

    exit_code = 31


class CaptureError(RemoteError):
    """An upload could not be finished; the repository shows no new version."""

    exit_code = 52
