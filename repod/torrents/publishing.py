"""Publishing one image: hashes of the exported file, a torrent with this repository's URLs, an entry in the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from core.errors import OgcastError
from core.version import __version__
from images.exporters.feed import ProgressCall
from images.exporters.ranged import FileForm
from images.manifest import Manifest
from images.repository import Repository
from images.torrent.making import hash_image
from images.torrent.metainfo import Metainfo, parse_metainfo
from images.torrent.pieces import PieceHashes
from repod.torrents.paths import announce_url, file_url
from repod.torrents.publications import Publication, Publications, new_publication_id, new_secret

__all__ = ["Published", "publish_image"]

_ENDINGS = {FileForm.RAW: "raw", FileForm.ZST: "zst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published."""

    publication: Publication
    torrent: bytes
    """The .torrent file."""
    is_new: bool
    """False: the file was published before, and only the URLs in the torrent were renewed."""


def publish_image(
    manifest: Manifest,
    repository: Repository,
    publications: Publications,
    form: FileForm,
    *,
    bases: Sequence[str],
    now: float,
    workers: int | None = None,
    progress: ProgressCall | None = None,
) -> Published:
    """Publish the file that an export of a pinned image in `form` gives; `bases` are where clients find repod.

    All of the image is read, unless it is published already. Raises ChunkError for a damaged chunk, UsageError for an
    empty image or a full list, NotFoundError if the image was removed meanwhile; then nothing is published.
    """
    before = publications.of_image(manifest.ref, manifest.root, form)
    hashes = _known_hashes(publications, before) if before is not None else None
    is_new = before is None
    if hashes is None:
        hashes = hash_image(manifest, repository, form, workers=workers, progress=progress)
    publication = before or Publication(
        id=new_publication_id(),
        secret=new_secret(),
        image=str(manifest.ref),
        root=manifest.root.hex(),
        form=form,
        file_name=f"{manifest.ref}.{_ENDINGS[form]}",
        length=hashes.length,
        pieces=hashes.pieces,
        piece_length=hashes.piece_length,
        info_hash_v1="",
        info_hash_v2="",
        misread_hash="",
        created=now,
    )
    metainfo = Metainfo(
        name=publication.file_name,
        hashes=hashes,
        announce=tuple(announce_url(base, publication) for base in bases),
        web_seeds=tuple(file_url(base, publication) for base in bases),
        created=int(publication.created),
        created_by=f"ogcast {__version__}",
        comment=f"{manifest.ref} of an ogcast repository, root {manifest.root.hex()}",
    )
    v1, v2 = metainfo.info_hashes()
    publication = msgspec.structs.replace(
        publication,
        length=hashes.length,
        info_hash_v1=v1.hex(),
        info_hash_v2=v2.hex(),
        misread_hash=metainfo.misread_hash().hex(),
    )
    torrent = metainfo.encode()
    publications.publish(publication, torrent, repository)
    return Published(publication=publication, torrent=torrent, is_new=is_new)


def _known_hashes(publications: Publications, before: Publication) -> PieceHashes | None:
    """The hashes of a torrent that is there; None if its file is lost or damaged, and the pass must be made again."""
    try:
        return parse_metainfo(publications.torrent(before)).hashes
    except OgcastError:
        return None
