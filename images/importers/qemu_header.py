"""Looks into qcow2, vmdk and vhdx headers before qemu does.

Such an image can name other files that qemu would open and read as part of it: a crafted one could so pull any file
of the repository's machine into an image every client may fetch. Images that name others are refused.
"""

from __future__ import annotations

import re
import struct

from core.errors import ImageFileError
from images.importers.detect import Content

__all__ = ["HEADER_BYTES", "check_self_contained"]

HEADER_BYTES = 4 * 1024 * 1024
"""Beginning of the file that is looked at; a vmdk descriptor beyond it is refused."""

_QCOW2 = struct.Struct(">4sIQI")  # magic, version, backing_file_offset, backing_file_size
_QCOW2_ENCRYPTION = 32
_QCOW2_INCOMPATIBLE = 72
_QCOW2_DATA_FILE = 1 << 2
_QCOW2_HEADER_V2 = 72
_QCOW2_HEADER_V3 = 104
_VMDK = struct.Struct("<4sIIQQQQ")  # magic, version, flags, capacity, grain, descriptor offset and size in sectors
_SECTOR_BYTES = 512
_VMDK_TYPES = (b"monolithicsparse", b"streamoptimized")
_VMDK_EXTENT = re.compile(rb"^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)", re.MULTILINE | re.IGNORECASE)
_HINT = "make it one file first: qemu-img convert -O qcow2 IMAGE ONE-FILE.qcow2"


def check_self_contained(content: Content, head: bytes) -> None:
    """Raise ImageFileError unless the image that begins with `head` (HEADER_BYTES, or all of it) is one plain file."""
    match content:
        case Content.QCOW2:
            _check_qcow2(head)
        case Content.VMDK:
            _check_vmdk(head)
        case Content.VHDX:
            _check_vhdx(head)
        case _:
            raise ValueError(f"{content} is not a format of qemu")


def _check_qcow2(head: bytes) -> None:
    if len(head) < _QCOW2_HEADER_V2:
        raise ImageFileError("truncated qcow2 header")
    _, version, backing_offset, backing_bytes = _QCOW2.unpack_from(head)
    if version not in (2, 3):
        raise ImageFileError(f"qcow image of version {version}", hint="versions 2 and 3 are read; " + _HINT)
    if backing_offset or backing_bytes:
        raise ImageFileError("the qcow2 image needs a backing file", hint=_HINT)
    (encryption,) = struct.unpack_from(">I", head, _QCOW2_ENCRYPTION)
    if encryption:
        raise ImageFileError("the qcow2 image is encrypted", hint="decrypt it first: qemu-img convert with its secret")
    if version == 3:
        if len(head) < _QCOW2_HEADER_V3:
            raise ImageFileError("truncated qcow2 header")
        (features,) = struct.unpack_from(">Q", head, _QCOW2_INCOMPATIBLE)
        if features & _QCOW2_DATA_FILE:
            raise ImageFileError("the qcow2 image keeps its data in another file", hint=_HINT)


def _check_vmdk(head: bytes) -> None:
    if head.startswith(b"KDMV") and len(head) < _SECTOR_BYTES:
        raise ImageFileError("truncated vmdk header", hint="the image was not copied to its end: copy it again")
    if not head.startswith(b"KDMV"):
        raise ImageFileError("the vmdk image is only a description of other files", hint=_HINT)
    _, _version, _flags, capacity, _grain, offset, sectors = _VMDK.unpack_from(head)
    if capacity == 0:
        raise ImageFileError("the vmdk image is only a description of other files", hint=_HINT)
    start, stop = offset * _SECTOR_BYTES, (offset + sectors) * _SECTOR_BYTES
    if stop > HEADER_BYTES:
        raise ImageFileError("vmdk image with its description far from its beginning", hint=_HINT)
    if stop > len(head):
        raise ImageFileError("truncated vmdk image")
    description = head[start:stop].split(b"\0", 1)[0].lower()
    kinds = _VMDK_EXTENT.findall(description)
    if len(kinds) > 1 or any(kind.lower() != b"sparse" for kind in kinds):
        raise ImageFileError("the vmdk image keeps its data in other files", hint=_HINT)
    kind = re.search(rb"createtype\s*=\s*\"?(\w+)", description)
    if kind is not None and kind[1] not in _VMDK_TYPES:
        raise ImageFileError(f"vmdk image of type {kind[1]!a}", hint=_HINT)
    parent = re.search(rb"parentcid\s*=\s*(\w+)", description)
    if b"parentfilenamehint" in description or (parent is not None and parent[1] != b"ffffffff"):
        raise ImageFileError("the vmdk image needs a parent image", hint=_HINT)


def _check_vhdx(head: bytes) -> None:
    # A parent is named by UTF-16 keys in the metadata region; qemu reads no differencing images, so this is a
    # clearer message rather than a lock.
    if "parent_linkage".encode("utf-16-le") in head:
        raise ImageFileError("the vhdx image needs a parent image", hint=_HINT)
