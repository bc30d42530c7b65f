"""repod verify: damage is named, and the index is made again from the packs."""

from __future__ import annotations

import random

from images.signing import SigningKey


def test_a_sound_repository_is_said_to_be(repod, layout, publish) -> None:
    publish("win", bytes(range(256)) * 1000)
    outcome = repod("verify", layout.root, "--json")
    assert (outcome.code, outcome.json["damaged_chunks"], outcome.json["images_checked"]) == (0, [], 1)
    assert repod("verify", layout.root, "win", "--workers", "1").code == 0


def test_images_of_a_relay_are_sound_though_another_repository_signed_them(repod, layout, publish) -> None:
    publish("win", bytes(range(256)) * 1000)
    layout.signing_key.write_bytes(SigningKey.generate().to_pem())
    assert repod("verify", layout.root).code == 0
    assert repod("gc", layout.root).code == 0


def test_a_flipped_bit_is_found_and_named_with_its_image(repod, layout, publish) -> None:
    publish("win", bytes(range(256)) * 1000)
    (pack,) = (layout.root / "packs").iterdir()
    data = bytearray(pack.read_bytes())
    data[-5] ^= 1
    pack.write_bytes(data)
    outcome = repod("verify", layout.root)
    assert outcome.code == 5
    assert "damaged chunk " in outcome.out
    assert "damaged image win@1" in outcome.out
    assert "hint: " in outcome.err


def test_a_damaged_chunk_is_mended_by_importing_its_image_again(repod, layout, publish, tmp_path) -> None:
    source = tmp_path / "win.raw"
    source.write_bytes(random.Random(1).randbytes(256_000))
    assert repod("import", layout.root, source, "--name", "win").code == 0
    (pack,) = (layout.root / "packs").iterdir()
    data = bytearray(pack.read_bytes())
    data[-5] ^= 1
    pack.write_bytes(data)
    assert repod("verify", layout.root).code == 5
    assert repod("verify", layout.root).code == 5, "still missing"
    assert repod("import", layout.root, source, "--name", "win").code == 0
    outcome = repod("verify", layout.root, "--json")
    assert (outcome.code, outcome.json["images_checked"]) == (0, 2), "the old version is whole again too"


def test_a_lost_index_is_rebuilt(repod, layout, publish) -> None:
    publish("win", bytes(range(256)) * 1000)
    for path in layout.root.glob("index.sqlite*"):
        path.unlink()
    assert repod("verify", layout.root, "--rebuild", "--json").code == 0
    (layout.root / "index.sqlite").write_bytes(b"garbage" * 1000)
    outcome = repod("verify", layout.root, "--rebuild")
    assert outcome.code == 0
    assert repod("verify", layout.root).code == 0


def test_a_path_too_long_for_any_folder_is_no_fault_of_this_program(repod, tmp_path) -> None:
    assert repod("verify", tmp_path / ("x" * 256)).code == 23
