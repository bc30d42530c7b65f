from __future__ import annotations

import pytest

from client.manifests import checked_manifest
from core.errors import ManifestError
from core.ids import ImageRef
from images.extents import Extents
from images.manifest import sign_manifest
from images.memstore import MemoryStore
from images.signing import SigningKey
from tests.support.images import make_image

KEY = SigningKey.generate()


def _signed(name: str = "room1", version: int = 3) -> bytes:
    with MemoryStore() as store:
        return sign_manifest(make_image(store, Extents.all_data(70000), name=name, version=version).manifest, KEY)


@pytest.mark.parametrize("asked", [ImageRef("room1"), ImageRef("room1", 3)])
def test_the_image_that_was_asked_for_is_taken(asked: ImageRef) -> None:
    assert checked_manifest(_signed(), public_key=KEY.public, asked=asked).version == 3


@pytest.mark.parametrize("asked", [ImageRef("room2"), ImageRef("room1", 2)])
def test_another_image_is_refused_though_it_is_signed(asked: ImageRef) -> None:
    with pytest.raises(ManifestError, match="asked for") as caught:
        checked_manifest(_signed(), public_key=KEY.public, asked=asked)
    assert caught.value.exit_code == 5


def test_another_key_is_refused() -> None:
    with pytest.raises(ManifestError):
        checked_manifest(_signed(), public_key=SigningKey.generate().public, asked=ImageRef("room1"))


@pytest.mark.parametrize("cut", [0, 10, 63, 200])
def test_a_cut_manifest_is_refused(cut: int) -> None:
    with pytest.raises(ManifestError):
        checked_manifest(_signed()[:cut], public_key=KEY.public, asked=ImageRef("room1"))


def test_a_flipped_bit_anywhere_is_refused() -> None:
    data = _signed()
    for at in range(0, len(data), 7):
        with pytest.raises(ManifestError):
            checked_manifest(
                data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], public_key=KEY.public, asked=ImageRef("room1")
            )
