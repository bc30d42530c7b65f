"""Names and numbers that identify things, and the one place that says which image names are legal."""

from __future__ import annotations

import re
from typing import NewType

import msgspec

from core.errors import UsageError

__all__ = ["NAME_MAX_CHARS", "VERSION_MAX", "ChunkIndex", "Digest", "ImageRef", "SessionId", "check_image_name"]

ChunkIndex = NewType("ChunkIndex", int)
"""Position in an image's chunk table (only chunks that hold DATA are listed there)."""

Digest = NewType("Digest", bytes)
"""BLAKE3 of a chunk's uncompressed bytes, SKIP bytes taken as zero; 32 bytes."""

SessionId = NewType("SessionId", str)

NAME_MAX_CHARS = 128  # leaves room for suffixes inside NAME_MAX (255) of every file system in use
VERSION_MAX = 2**31 - 1

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def check_image_name(name: str) -> str:
    """Return `name` if it is a legal image name, else raise UsageError.

    A name becomes a directory in every repository and CACHE and travels through shells, so it is kept to what
    no file system, URL or script has to quote: ASCII letters, digits and `_ . + -`, not starting with a sign or dot.
    """
    if len(name) > NAME_MAX_CHARS:
        raise UsageError(
            f"image name of {len(name)} characters", hint=f"at most {NAME_MAX_CHARS} characters are allowed"
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"not a legal image name: {name!a}",
            hint="use ASCII letters, digits and _ . + - ; start with a letter, digit or _",
        )
    return name


class ImageRef(msgspec.Struct, frozen=True):
    """`name` (the newest version) or `name@version`."""

    name: str
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Parse `name` or `name@version`; raise UsageError for anything else."""
        name, at, version = text.partition("@")
        check_image_name(name)
        if not at:
            return cls(name)
        if not re.fullmatch(r"[1-9][0-9]{0,9}", version) or int(version) > VERSION_MAX:
            raise UsageError(
                f"not a version number: {version!a}",
                hint="versions are written name@1, name@2, … without leading zeros",
            )
        return cls(name, int(version))

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"
