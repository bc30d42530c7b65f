"""Which names an image may have, and how a version is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from core.ids import NAME_MAX_CHARS, VERSION_MAX, ImageRef, check_image_name


@pytest.mark.parametrize("name", ["a", "win10", "_x", "Ubuntu-24.04+base_1", "9lives", "a" * NAME_MAX_CHARS])
def test_plain_names_are_legal(name: str) -> None:
    assert check_image_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "+x",
        "a/b",
        "../a",
        "a\0b",
        "a b",
        "año",
        "a\n",
        "a" * (NAME_MAX_CHARS + 1),
        "%2e",
    ],
)
def test_a_name_that_needs_quoting_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_image_name(name)
    assert caught.value.hint


def test_without_a_version_the_newest_is_meant() -> None:
    assert ImageRef.parse("win10") == ImageRef("win10", None)
    assert ImageRef.parse("win10@3") == ImageRef("win10", 3)


@pytest.mark.parametrize("text", ["a@", "a@0", "a@01", "a@-1", "a@x", "a@1@2", f"a@{VERSION_MAX + 1}", "@1", "a@1\n"])
def test_a_malformed_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        ImageRef.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_that_reads_back_or_a_documented_error(text: str) -> None:
    try:
        ref = ImageRef.parse(text)
    except UsageError:
        return
    assert ImageRef.parse(str(ref)) == ref
    assert str(ref) == text
