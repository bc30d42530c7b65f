"""Catalogue: the manifest files of a repository. An image is visible when its file is there, and not before."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import ManifestError, NotFoundError, RepositoryError, UsageError
from core.ids import VERSION_MAX, ImageRef, check_image_name
from images.manifest import Manifest, parse_manifest, restamp, sign_manifest
from images.manifest_layout import MANIFEST_BYTES_MAX
from images.signing import SigningKey
from images.store.disk import disk_errors, sync_directory, write_temporary
from images.store.paths import RepositoryPaths

__all__ = ["Catalogue", "ImageEntry", "read_manifest"]

_FILE_NAME = re.compile(r"([1-9][0-9]{0,9})\.ogm", re.ASCII)
_TRASH_NAME = re.compile(r"(.+)@([1-9][0-9]{0,9})\.[0-9a-f]+\.ogm", re.ASCII)
_NUMBER = re.compile(rb"[1-9][0-9]{0,9}\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """One image version of the catalogue."""

    ref: ImageRef
    path: Path
    """Its manifest file."""

    @property
    def name(self) -> str:
        """Image name."""
        return self.ref.name

    @property
    def version(self) -> int:
        """Version number."""
        assert self.ref.version is not None
        return self.ref.version


class Catalogue:
    """Lists, publishes and removes manifest files. Stateless, so safe in any number of threads and processes."""

    def __init__(self, paths: RepositoryPaths) -> None:
        self._paths = paths

    def images(self) -> list[ImageEntry]:
        """All versions of all images, by name and version."""
        with disk_errors("listing the images"):
            names = sorted(entry.name for entry in os.scandir(self._paths.manifests) if entry.is_dir())
        return [
            ImageEntry(ref=ref, path=self._paths.manifest(ref))
            for name in names
            if _is_legal(name)
            for ref in (ImageRef(name, version) for version in self.versions(name))
        ]

    def versions(self, name: str) -> list[int]:
        """Versions of an image, rising; none if there is no such image."""
        with disk_errors(f"listing the versions of {name}"):
            try:
                files = os.listdir(self._paths.manifests / check_image_name(name))
            except FileNotFoundError:
                return []
        found = [_FILE_NAME.fullmatch(file) for file in files]
        return sorted(version for match in found if match and (version := int(match[1])) <= VERSION_MAX)

    def find(self, ref: ImageRef) -> ImageEntry:
        """The version `ref` names, the newest if it names none. NotFoundError with names that come close."""
        versions = self.versions(ref.name)
        if not versions:
            names = {entry.name for entry in self.images()}
            near = difflib.get_close_matches(ref.name, names, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`repod ls` shows the images there are"
            raise NotFoundError(f"no image named {ref.name}", hint=hint)
        version = versions[-1] if ref.version is None else ref.version
        if version not in versions:
            there = ", ".join(map(str, versions[-5:]))
            raise NotFoundError(f"image {ref.name} has no version {version}", hint=f"newest versions: {there}")
        found = ImageRef(ref.name, version)
        return ImageEntry(ref=found, path=self._paths.manifest(found))

    def publish(self, data: bytes, *, sign: SigningKey | None, created: str | None = None) -> Manifest:
        """Make `data` visible as the next version of its name, with a number that no version of it ever had.

        Other publishers of the name wait meanwhile.
        """
        name = parse_manifest(data).name
        folder = self._folder(name)
        with disk_errors(f"publishing a version of {name}"), _locked_folder(folder):
            version = self._next_version(name)
            stamped = restamp(data, version=version, created=created)
            if sign is not None:
                stamped = sign_manifest(stamped, sign)
            manifest = parse_manifest(stamped)
            temporary = write_temporary(folder, stamped)
            try:
                # Before the version can be seen, and so removed: a client's CACHE may keep it by its number for ever.
                write_temporary(folder, b"%d\n" % version).rename(self._paths.last_version(name))
                os.link(temporary, self._paths.manifest(manifest.ref))
            finally:
                temporary.unlink()
            sync_directory(folder)
        return manifest

    def adopt(self, data: bytes) -> Manifest:
        """Make a manifest visible under the version it has; another one of that name and version goes to the trash."""
        manifest = parse_manifest(data)
        folder = self._folder(manifest.name)
        path = self._paths.manifest(manifest.ref)
        with disk_errors(f"storing the manifest of {manifest.ref}"):
            if path.exists() and path.read_bytes() == data:
                return manifest
            temporary = write_temporary(folder, data)
            try:
                if path.exists():
                    os.link(path, self._trash_path(manifest.ref))
                    sync_directory(self._paths.trash)
                temporary.rename(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            sync_directory(folder)
        return manifest

    def remove(self, ref: ImageRef) -> ImageEntry:
        """Move a version to the trash; sessions that hold it keep it."""
        entry = self.find(ref)
        with disk_errors(f"removing {entry.ref}"):
            try:
                entry.path.rename(self._trash_path(entry.ref))
            except FileNotFoundError:
                raise NotFoundError(f"{entry.ref} was removed meanwhile") from None
            sync_directory(entry.path.parent)
            sync_directory(self._paths.trash)
        return entry

    def trash(self) -> list[Path]:
        """Manifest files in the trash."""
        with disk_errors("listing the trash"):
            return sorted(path for path in self._paths.trash.iterdir() if _TRASH_NAME.fullmatch(path.name))

    def _trash_path(self, ref: ImageRef) -> Path:
        return self._paths.trash / f"{ref}.{secrets.token_hex(8)}.ogm"

    def _next_version(self, name: str) -> int:
        """The number after the highest ever given. The caller holds the folder's lock."""
        given = self.versions(name)
        matches = (_TRASH_NAME.fullmatch(path.name) for path in self.trash())
        given += [int(match[2]) for match in matches if match and match[1] == name]
        path = self._paths.last_version(name)
        if path.exists():
            noted = path.read_bytes()
            if not _NUMBER.fullmatch(noted):
                raise RepositoryError(
                    f"{path} is damaged: it should hold the highest version number that {name} ever had",
                    hint="write that number into it, or a higher one",
                )
            given.append(int(noted))
        return max(given, default=0) + 1

    def _folder(self, name: str) -> Path:
        folder = self._paths.manifests / check_image_name(name)
        with disk_errors(f"making room for {name}"):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                sync_directory(self._paths.manifests)
        return folder


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Hold an exclusive flock on a directory, waiting for others in this and other processes."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def read_manifest(fd: int, ref: ImageRef | None = None) -> Manifest:
    """Parse the manifest file behind `fd`; ManifestError if it is damaged or is not that of `ref`."""
    size = os.fstat(fd).st_size
    if size > MANIFEST_BYTES_MAX:
        raise ManifestError(f"manifest of {size} bytes (at most {MANIFEST_BYTES_MAX} are allowed)")
    manifest = parse_manifest(os.pread(fd, size, 0))
    if ref is not None and manifest.ref != ref:
        raise ManifestError(f"the manifest of {ref} says it is {manifest.ref}")
    return manifest


def _is_legal(name: str) -> bool:
    try:
        check_image_name(name)
    except UsageError:
        return False
    return True
