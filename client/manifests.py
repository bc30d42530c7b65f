"""Manifests as a client takes them: parsed within bounds, signed by the pinned key, of the image that was asked for."""

from __future__ import annotations

from core.errors import ManifestError
from core.ids import ImageRef
from images.manifest import Manifest, parse_manifest

__all__ = ["checked_manifest"]


def checked_manifest(data: bytes, *, public_key: bytes, asked: ImageRef) -> Manifest:
    """The manifest in `data`; ManifestError unless it is whole, signed by `public_key`, and of `asked`.

    A repository (or who speaks for it) could otherwise answer with an older or other image that is signed as well.
    """
    manifest = parse_manifest(data)
    manifest.verify(public_key)
    if manifest.name != asked.name or asked.version not in (None, manifest.version):
        raise ManifestError(
            f"asked for {asked}, got the manifest of {manifest.ref}", hint="the repository is faulty; do not use it"
        )
    return manifest
