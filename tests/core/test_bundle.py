from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bundle import bundle_path, use_bundle, write_bundle

NAMES = ("bundled", "bundled.inner")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a package with one module, which is not imported any more."""
    package = tmp_path / "bundled"
    package.mkdir()
    (package / "__init__.py").write_text("WORD = 'outer'\n")
    (package / "inner.py").write_text("WORD = 'inner'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    path = bundle_path(str(package))
    modules = [importlib.import_module(name) for name in NAMES]
    assert write_bundle(path, [*modules, sys]) == 2
    _forget()
    yield path
    _forget()


def _forget() -> None:
    for name in NAMES:
        sys.modules.pop(name, None)


def test_modules_are_taken_from_the_bundle(bundle: str) -> None:
    assert use_bundle(bundle)
    inner = importlib.import_module("bundled.inner")
    outer = sys.modules["bundled"]
    assert (outer.WORD, inner.WORD) == ("outer", "inner")
    assert {outer.__cached__, inner.__cached__} == {bundle}
    assert inner.__file__ == os.path.join(os.path.dirname(os.path.dirname(bundle)), "inner.py")
    assert outer.__path__ == [os.path.dirname(inner.__file__)]


def test_a_source_that_has_changed_is_read_again(bundle: str) -> None:
    source = Path(bundle).parent.parent / "inner.py"
    source.write_text("WORD = 'changed'\n")
    assert use_bundle(bundle)
    assert importlib.import_module("bundled.inner").WORD == "changed"


def test_a_source_that_is_gone_is_not_imported(bundle: str) -> None:
    (Path(bundle).parent.parent / "inner.py").unlink()
    assert use_bundle(bundle)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("bundled.inner")


def test_other_modules_are_found_as_ever(bundle: str) -> None:
    (Path(bundle).parent.parent / "later.py").write_text("WORD = 'later'\n")
    assert use_bundle(bundle)
    assert importlib.import_module("bundled.later").WORD == "later"
    del sys.modules["bundled.later"]


def test_a_bundle_made_for_other_places_is_not_used(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/elsewhere"])
    assert not use_bundle(bundle)


@pytest.mark.parametrize("cut", [0, 4, 8, 40, -1])
def test_a_bundle_that_is_not_whole_is_not_used(bundle: str, cut: int) -> None:
    data = Path(bundle).read_bytes()
    Path(bundle).write_bytes(data[:cut])
    assert not use_bundle(bundle)


def test_no_bundle_is_none_to_use(tmp_path: Path) -> None:
    assert not use_bundle(str(tmp_path / "missing"))


@pytest.mark.parametrize("umask", [0, 0o077])
def test_everybody_may_read_it_and_nobody_else_write_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_bundle(str(tmp_path / "made"), [])
    finally:
        os.umask(before)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_one_that_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_bundle(str(tmp_path / "made"), [])
    assert os.listdir(tmp_path) == ["made"]


def test_noise_is_not_used(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(bytes(range(256)))
    assert not use_bundle(str(noise))
