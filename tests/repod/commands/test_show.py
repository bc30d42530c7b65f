"""repod show."""

from __future__ import annotations

from images.signing import SigningKey


def test_it_says_what_the_image_is_and_that_the_signature_holds(repod, layout, publish) -> None:
    publish("win", b"x" * 100_000)
    facts = repod("show", layout.root, "win", "--json").json
    assert (facts["version"], facts["size"], facts["data_bytes"], facts["signature"]) == (1, 100_000, 100_000, "valid")
    assert "97.7 KiB" in repod("show", layout.root, "win@1").out


def test_a_signature_by_another_key_is_told(repod, layout, publish) -> None:
    publish("win", b"x" * 1000)
    layout.signing_key.write_bytes(SigningKey.generate().to_pem())
    assert "not signed by" in repod("show", layout.root, "win").out


def test_unknown_images_hint_at_close_names(repod, layout, publish) -> None:
    publish("classroom", b"x" * 1000)
    outcome = repod("show", layout.root, "clasroom")
    assert outcome.code == 2
    assert "classroom" in outcome.err
