"""A `repod` in wrong hands: it gives the manifest of version 1 of an image, signed as it is, for that of any other."""

from __future__ import annotations

from aiohttp import web

import repod.api.images as images
from core.ids import ImageRef
from repod.__main__ import main

__all__ = ["replay"]


def replay() -> None:
    """Serve as `repod` does, but for the manifests."""
    images._ref = _oldest
    main()


def _oldest(request: web.Request) -> ImageRef:
    return ImageRef(ImageRef.parse(request.match_info["ref"]).name, 1)


if __name__ == "__main__":
    replay()
