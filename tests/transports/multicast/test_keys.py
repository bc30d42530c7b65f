"""Every purpose, cast, epoch and member has its own key."""

from __future__ import annotations

import pytest

from transports.multicast.keys import KEY_BYTES, packet_key, report_key, report_tag, report_tag_holds

SECRET = bytes(range(32))


def test_no_two_purposes_or_numbers_share_a_key() -> None:
    keys = {
        packet_key(SECRET, cast=1, epoch=1),
        packet_key(SECRET, cast=1, epoch=2),
        packet_key(SECRET, cast=2, epoch=1),
        report_key(SECRET, cast=1, member=1),
        report_key(SECRET, cast=1, member=2),
        packet_key(bytes(32), cast=1, epoch=1),
    }
    assert len(keys) == 6
    assert {len(key) for key in keys} == {KEY_BYTES}


def test_a_secret_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        packet_key(SECRET[1:], cast=1, epoch=1)


def test_a_report_holds_only_under_its_own_key_and_words() -> None:
    key, other = report_key(SECRET, cast=1, member=1), report_key(SECRET, cast=1, member=2)
    tag = report_tag(key, b"report")
    assert report_tag_holds(key, memoryview(b"report"), memoryview(tag))
    assert not report_tag_holds(other, b"report", tag)
    assert not report_tag_holds(key, b"repors", tag)
    assert not report_tag_holds(key, b"report", tag[:-1])


def test_known_secrets_give_the_keys_they_always_gave() -> None:
    key = report_key(SECRET, cast=7, member=2)
    assert packet_key(SECRET, cast=7, epoch=3).hex() == (
        "67e5177115fdadcdcdaf1ce64d81ca6a16b88ff8e5a4135adfdb89fe71a256fd"
    )
    assert key.hex() == "997c67596e8e320953346d44e909aa82ad218c3bf9eba8d21f1b7c6c0d2fdefe"
    assert report_tag(key, b"report").hex() == "b73862f2935b499be55b7ced5d9e1498"
