"""A published image."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from core.ids import ImageRef
from images.exporters.ranged import FileForm
from images.repository import Repository
from repod.layout import Layout
from repod.torrents.publications import Publications
from repod.torrents.publishing import Published, publish_image

CONTENT = random.Random(9).randbytes(700_000)
BASE = "http://127.0.0.1:8727"


@pytest.fixture
def publish_torrent(layout: Layout, publish) -> Callable[..., Published]:
    """`publish_torrent("win", form)` publishes an image, which is made if it is not there."""

    def make(name: str = "win", form: FileForm = FileForm.RAW, *, bases: tuple[str, ...] = (BASE,)) -> Published:
        with Repository.open(layout.root) as repository:
            if not any(entry.name == name for entry in repository.images()):
                publish(name, CONTENT)
            with repository.pin(ImageRef(name)) as pinned:
                return publish_image(
                    pinned.manifest, repository, Publications(layout), form, bases=bases, now=1_700_000_000.5
                )

    return make
