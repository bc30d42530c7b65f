"""A .torrent file of one file: hybrid of version 1 and 2 (BEP 3, BEP 52), private (BEP 27), with web seeds (BEP 19)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import bencode2

from core.errors import ImageFileError
from images.torrent.pieces import SHA1_BYTES, SHA256_BYTES, PieceHashes

__all__ = ["TORRENT_BYTES_MAX", "Metainfo", "parse_metainfo"]

TORRENT_BYTES_MAX = 64 * 1024 * 1024
"""Largest file that is parsed: a million pieces."""
_META_VERSION = 2
_LENGTH_MAX = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Metainfo:
    """One torrent. What makes its identity (the info hashes) is `name` and `hashes` alone."""

    name: str
    """File name that clients use."""
    hashes: PieceHashes
    announce: tuple[str, ...]
    """URLs of the tracker; clients try them in order (BEP 12)."""
    web_seeds: tuple[str, ...]
    """URLs of the file itself."""
    created: int
    """Seconds since 1970."""
    created_by: str
    comment: str = ""

    def encode(self) -> bytes:
        """The bytes of the .torrent file."""
        hashes = self.hashes
        torrent: dict[str, Any] = {
            "announce": self.announce[0],
            "comment": self.comment,
            "created by": self.created_by,
            "creation date": self.created,
            "info": _info(self.name, hashes),
            "piece layers": {hashes.root: hashes.layer} if hashes.layer else {},
            "url-list": list(self.web_seeds),
        }
        if len(self.announce) > 1:
            torrent["announce-list"] = [[url] for url in self.announce]
        return bencode2.bencode(torrent)

    def info_hashes(self) -> tuple[bytes, bytes]:
        """The identity: 20 bytes for clients of version 1; 32 for those of version 2, who announce the first 20."""
        info = bencode2.bencode(_info(self.name, self.hashes))
        return hashlib.sha1(info, usedforsecurity=False).digest(), hashlib.sha256(info).digest()

    def misread_hash(self) -> bytes:
        """The identity that aria2 before 1.37 finds, which loses the empty key of BEP 52 (aria2 pull request 1905).

        It downloads all the same, and exchanges with others of its kind.
        """
        info = _info(self.name, self.hashes) | {"file tree": {self.name: {}}}
        return hashlib.sha1(bencode2.bencode(info), usedforsecurity=False).digest()


def parse_metainfo(data: bytes) -> Metainfo:
    """A torrent that `Metainfo.encode` made; nothing else is accepted. Raises ImageFileError."""
    if len(data) > TORRENT_BYTES_MAX:
        raise ImageFileError(f"torrent of {len(data)} bytes (at most {TORRENT_BYTES_MAX} are read)")
    try:
        metainfo = _parsed(bencode2.bdecode(data))
    except (bencode2.BencodeDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ImageFileError(f"not a torrent of ours: {type(error).__name__} {error}") from None
    if metainfo.encode() != data:
        raise ImageFileError("not a torrent of ours: it holds more than such a one does")
    return metainfo


def _info(name: str, hashes: PieceHashes) -> dict[str, Any]:
    return {
        "file tree": {name: {"": {"length": hashes.length, "pieces root": hashes.root}}},
        "length": hashes.length,
        "meta version": _META_VERSION,
        "name": name,
        "piece length": hashes.piece_length,
        "pieces": hashes.sha1,
        "private": 1,
    }


def _parsed(torrent: Any) -> Metainfo:
    info = torrent[b"info"]
    length, piece_length = _number(info[b"length"]), _number(info[b"piece length"])
    name, sha1 = info[b"name"].decode(), _bytes(info[b"pieces"])
    root = _bytes(info[b"file tree"][info[b"name"]][b""][b"pieces root"])
    layers = torrent[b"piece layers"]
    layer = _bytes(layers[root]) if layers else b""
    if not 0 < length < _LENGTH_MAX or piece_length < 1 or piece_length & (piece_length - 1):
        raise ValueError("lengths that make no sense")
    hashes = PieceHashes(length=length, piece_length=piece_length, sha1=sha1, layer=layer, root=root)
    if len(root) != SHA256_BYTES or len(sha1) != SHA1_BYTES * hashes.pieces:
        raise ValueError("hashes that do not fit the length")
    if len(layer) != (SHA256_BYTES * hashes.pieces if hashes.pieces > 1 else 0):
        raise ValueError("a piece layer that does not fit the length")
    tiers = torrent.get(b"announce-list", [[torrent[b"announce"]]])
    return Metainfo(
        name=name,
        hashes=hashes,
        announce=tuple(tier[0].decode() for tier in tiers),
        web_seeds=tuple(url.decode() for url in torrent[b"url-list"]),
        created=_number(torrent[b"creation date"]),
        created_by=torrent[b"created by"].decode(),
        comment=torrent[b"comment"].decode(),
    )


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a number is due")
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes are due")
    return value
