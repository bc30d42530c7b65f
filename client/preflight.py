"""Preflight: open a target exclusively and prove that it can take an image, before the first byte is written.

Every refusal leaves the target as it was: nothing is created, truncated or written here but an empty file where there
was none, and that one is removed again if the restore never starts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import msgspec

from client.occupancy import block_user, file_user
from client.sinks.base import Sink
from client.sinks.block_device import BlockDeviceSink
from client.sinks.file import FileSink
from client.sinks.kernel import block_is_read_only, block_size_bytes, sector_bytes
from client.sinks.null import NULL_TARGET, NullSink
from core.errors import LockedError, OgcastError, PartitionError, ReadOnlyError, TargetTooSmallError, UsageError
from core.units import human_bytes
from images.store.marker import repository_around

__all__ = ["Needs", "OpenTarget", "open_target"]

_FILE_SECTOR = 512


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What an image asks of a target."""

    size: int
    """Bytes of the image."""
    data_bytes: int
    """Bytes of DATA: what a sparse file will take at most, SKIP and ZERO being holes."""
    sector_size: int
    """Logical sector of the image's source, in bytes."""
    alignment: int
    """Every extent starts and ends on a multiple of this many bytes (the end of the image aside)."""


class OpenTarget(msgspec.Struct, kw_only=True):
    """A target that passed every check; owns its sink. A context manager: what no restore has closed is abandoned."""

    sink: Sink
    created: Path | None
    """The file that preflight made, removed by `abandon`."""
    notices: list[str]
    """What the operator should know, though it is no reason to refuse."""
    closed: bool = False

    def __enter__(self) -> OpenTarget:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()

    def close(self) -> None:
        """Close what a restore has changed; what is there stays. Repeatable."""
        self.closed = True
        self.sink.close()

    def abandon(self) -> None:
        """Close without a restore having begun, leaving no trace; nothing where it was closed before."""
        if not self.closed:
            self.close()
            if self.created is not None:
                self.created.unlink(missing_ok=True)


def open_target(target: str, needs: Needs) -> OpenTarget:
    """Open and check `target`: a block device, a file, or `null:`.

    Raises PartitionError (no such device, or none), LockedError (mounted or busy), ReadOnlyError,
    TargetTooSmallError, UsageError. See docs/client.md, "What is checked".
    """
    if target == NULL_TARGET:
        return OpenTarget(sink=NullSink(needs.size), created=None, notices=[])
    if target == "-":
        raise UsageError(
            "a restore is written in any order, not to a pipe",
            hint="a file of that name: ./- ; an image as a stream: repod export DIR NAME -",
        )
    if not target or "\0" in target:
        raise UsageError("the target is not a path", hint="give a block device such as /dev/sda1, or a file")
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return _new_file(target, needs)
    except OSError as error:
        raise PartitionError(
            f"cannot look at {target}: {error.strerror}", hint="give a block device such as /dev/sda1, or a file"
        ) from error
    if stat.S_ISBLK(mode):
        return _block_device(target, needs)
    if stat.S_ISREG(mode):
        return _old_file(target, needs)
    what = "a directory" if stat.S_ISDIR(mode) else "a character device" if stat.S_ISCHR(mode) else "no disk or file"
    raise PartitionError(f"{target} is {what}", hint="give a block device such as /dev/sda1, or a file")


def _block_device(target: str, needs: Needs) -> OpenTarget:
    number = os.stat(target).st_rdev
    if (user := block_user(number, target)) is not None:
        raise LockedError(f"{target} is busy: {user}", hint="unmount or release it first; nothing was written")
    with _Descriptor(target, os.O_RDONLY) as looking:
        size, sector = block_size_bytes(looking), sector_bytes(looking)
        if block_is_read_only(looking):
            raise ReadOnlyError(f"{target} is read-only", hint="see `blockdev --getro` and a write-protect switch")
    _check_size(target, size, needs)
    if needs.alignment % sector:
        raise PartitionError(
            f"{target} has sectors of {sector} bytes, but the image is laid out in units of {needs.alignment} bytes",
            hint="the file system inside would not mount there; use a disk with smaller sectors",
        )
    notices = []
    if needs.sector_size != sector:
        notices.append(
            f"the image comes from a disk with sectors of {needs.sector_size} bytes, {target} has {sector}: "
            "a boot sector that counts in sectors may need repair"
        )
    fd = _open(target, os.O_RDWR | os.O_EXCL)
    try:
        if os.fstat(fd).st_rdev != number:
            raise PartitionError(f"{target} changed while it was being checked")
    except BaseException:
        os.close(fd)
        raise
    identity = f"{os.path.realpath(target)} block {os.major(number)}:{os.minor(number)} {size}"
    sink = BlockDeviceSink(fd, name=target, size=size, sector_size=sector, identity=identity)
    return OpenTarget(sink=sink, created=None, notices=notices)


def _check_outside_repositories(target: str) -> None:
    """The files of one, or of a CACHE, must not be written over: one of them is the key that signs, and there is no
    other."""
    if (repository := repository_around(target)) is not None:
        raise UsageError(
            f"{target} is inside the repository {repository}, where nothing but its own files may be",
            hint="give a block device, or a file in another folder; nothing was written",
        )


def _old_file(target: str, needs: Needs) -> OpenTarget:
    _check_outside_repositories(target)
    if (user := file_user(target)) is not None:
        raise LockedError(f"{target} is busy: {user}", hint="release it first; nothing was written")
    fd = _open(target, os.O_RDWR)
    try:
        _lock(fd, target)
        facts = os.fstat(fd)
        _check_room(target, needs, already=facts.st_blocks * 512)
        return OpenTarget(sink=_file_sink(fd, target, needs, facts), created=None, notices=[])
    except BaseException:
        os.close(fd)
        raise


def _new_file(target: str, needs: Needs) -> OpenTarget:
    path = Path(target)
    if os.path.realpath(target).startswith("/dev/") and not os.path.realpath(target).startswith("/dev/shm/"):
        raise PartitionError(f"no such device: {target}", hint="`lsblk` lists the disks and partitions of this machine")
    if not path.parent.is_dir():
        raise PartitionError(f"{target}: there is no directory {path.parent}", hint="make it, or give a block device")
    if target.endswith("/"):
        raise PartitionError(f"{target} is the name of a directory", hint="give a block device or a file")
    _check_outside_repositories(target)
    _check_room(str(path.parent), needs, already=0)
    fd = _open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        _lock(fd, target)
        sink = _file_sink(fd, target, needs, os.fstat(fd))
    except BaseException:
        os.close(fd)
        path.unlink(missing_ok=True)
        raise
    return OpenTarget(sink=sink, created=path, notices=[])


def _file_sink(fd: int, target: str, needs: Needs, facts: os.stat_result) -> FileSink:
    # the size is not part of a file's identity: it grows to the image's size at the first write
    identity = f"{os.path.realpath(target)} file {facts.st_dev} {facts.st_ino}"
    size = max(needs.size, facts.st_size)
    return FileSink(fd, name=target, size=size, sector_size=_FILE_SECTOR, identity=identity)


def _check_size(target: str, size: int, needs: Needs) -> None:
    if size < needs.size:
        raise TargetTooSmallError(
            f"{target} has {size} bytes, the image needs {needs.size}: {needs.size - size} bytes too small",
            hint="give a larger partition; nothing was written",
        )


def _check_room(where: str, needs: Needs, *, already: int) -> None:
    room = os.statvfs(where)
    free = room.f_bavail * room.f_frsize
    if needs.data_bytes > free + already:
        raise TargetTooSmallError(
            f"the file system of {where} has {human_bytes(free)} free, the image's data takes "
            f"{human_bytes(needs.data_bytes - already)}",
            hint="make room or give another target; nothing was written",
        )


def _lock(fd: int, target: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(
            f"{target} is busy: another program has locked it", hint="is another ogcast writing to it?"
        ) from None


def _open(target: str, flags: int) -> int:
    try:
        return os.open(target, flags | os.O_CLOEXEC | os.O_NOFOLLOW * bool(flags & os.O_CREAT), 0o600)
    except OSError as error:
        raise _open_error(error, target) from error


def _holder(target: str) -> str:
    from images.importers.exclusive import holder_of  # importers are needed for this message only

    try:
        return holder_of(os.stat(target).st_rdev)
    except OSError as error:
        return str(error.strerror)


def _open_error(error: OSError, target: str) -> OgcastError:
    match error.errno:
        case errno.EBUSY | errno.ETXTBSY:
            return LockedError(f"{target} is busy: {_holder(target)}", hint="release it first; nothing was written")
        case errno.EEXIST | errno.ELOOP:
            return PartitionError(
                f"{target} is a symbolic link that leads nowhere", hint="name the file itself, or mend the link"
            )
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return ReadOnlyError(f"{target} cannot be written: {error.strerror}", hint="run as root, check the device")
        case errno.ENOSPC | errno.EDQUOT:
            return TargetTooSmallError(f"{target}: {error.strerror}", hint="make room or give another target")
        case errno.ENAMETOOLONG | errno.EINVAL:
            return UsageError(f"{target} cannot be a file name: {error.strerror}")
        case _:
            return PartitionError(f"cannot open {target}: {error.strerror}")


class _Descriptor:
    """A descriptor for the length of a `with`."""

    def __init__(self, target: str, flags: int) -> None:
        self._fd = _open(target, flags)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
