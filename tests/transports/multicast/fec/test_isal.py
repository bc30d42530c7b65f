"""ISA-L gives the parity of NumPy's code, byte for byte, and rebuilds what that one rebuilds."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.filesystems import find_program
from transports.multicast.fec import isal
from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.fec.code import ErasureCode
from transports.multicast.fec.isal import IsalCode, find_code

BY_MATRICES = Path(__file__).parents[3] / "support" / "isal_by_matrices.c"
CODE = find_code()
OURS = CauchyCode()
GUARD = 1 << 18

installed = pytest.mark.skipif(
    not isinstance(CODE, IsalCode),
    reason="no ISA-L: pyeclib has no wheel for this machine, libisal2 is not installed; NumPy does its work",
)


@installed
@settings(max_examples=100, deadline=None)
@given(data=st.data(), k=st.integers(1, 255), size=st.sampled_from([8, 24, 40, 1448]), apart=st.integers(1, 3))
def test_it_is_the_same_code(data: st.DataObject, k: int, size: int, apart: int) -> None:
    chunk = np.random.default_rng(k).integers(0, 256, (k * apart, size), dtype=np.uint8)
    block = chunk[apart - 1 :: apart]
    losses = data.draw(st.integers(0, min(k, 256 - k, 20)))
    missing = data.draw(st.lists(st.integers(0, k - 1), min_size=losses, max_size=losses, unique=True))
    parity = data.draw(st.lists(st.integers(k, 255), min_size=losses, max_size=min(losses + 2, 256 - k), unique=True))
    rows = CODE.encode(block, parity)
    assert rows.tobytes() == OURS.encode(block, parity).tobytes()
    kept, whole = rows.copy(), chunk.copy()
    block[missing] = 0xA5
    CODE.decode(block, missing, parity, rows)
    assert chunk.tobytes() == whole.tobytes()
    assert rows.tobytes() == kept.tobytes(), "received parity belongs to the caller"


@installed
@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 700),
    blocks=st.integers(1, 16),
    size=st.sampled_from([8, 40, 72, 1448]),
    first=st.integers(0, 9),
    count=st.integers(1, 20),
)
def test_the_parity_of_a_whole_frame_is_that_of_its_blocks(
    rows: int, blocks: int, size: int, first: int, count: int
) -> None:
    blocks = max(min(blocks, rows), -(-rows // 188))
    frame = np.random.default_rng(rows).integers(0, 256, (rows, size), dtype=np.uint8)
    whole = frame.copy()
    made = CODE.encode_frame(frame, blocks, first, count)
    assert made.tobytes() == OURS.encode_frame(frame, blocks, first, count).tobytes()
    assert frame.tobytes() == whole.tobytes()


@installed
def test_a_whole_frame_has_no_parity_that_its_longest_block_has_not() -> None:
    frame = np.zeros((401, 8), dtype=np.uint8)
    for code in (CODE, OURS):
        assert code.encode_frame(frame, 3, 0, 256 - 134).shape == (122, 3, 8)
        with pytest.raises(ValueError, match="parity"):
            code.encode_frame(frame, 3, 1, 256 - 134)


@installed
@settings(max_examples=120, deadline=None)
@given(
    data=st.data(),
    k=st.integers(1, 200),
    blocks=st.integers(1, 16),
    size=st.sampled_from([8, 72, 1448]),
    first=st.sampled_from([0, 0, 3, "last"]),
)
def test_what_the_blocks_of_a_frame_lack_is_rebuilt_as_numpy_rebuilds_it(
    data: st.DataObject, k: int, blocks: int, size: int, first: int | str
) -> None:
    frame = np.random.default_rng(k).integers(0, 256, (k * blocks + blocks // 2, size), dtype=np.uint8)
    broken, rows, parity = frame.copy(), [], []
    for number in range(blocks):
        block = broken[number::blocks]
        have = 256 - len(block)
        losses = min(len(block), have, data.draw(st.sampled_from([0, 1, 1, 2, 3, 18])))
        missing = data.draw(st.lists(st.integers(0, len(block) - 1), min_size=losses, max_size=losses, unique=True))
        lowest = max(0, have - losses - 1) if first == "last" else min(int(first), have - losses)
        some = st.integers(len(block) + lowest, min(255, len(block) + lowest + losses))
        indices = data.draw(st.lists(some, min_size=losses, max_size=losses, unique=True))
        block[missing] = OURS.encode(block, indices)
        rows += [number + row * blocks for row in missing]
        parity += indices
    again = broken.copy()
    for code, copy in ((CODE, broken), (OURS, again)):
        code.decode_frame(copy, blocks, np.array(rows, dtype=np.int64), np.array(parity, dtype=np.int64))
        assert copy.tobytes() == frame.tobytes()


@installed
@pytest.mark.parametrize("code", [CODE, OURS])
def test_a_frame_whose_rows_lie_apart_is_refused(code: ErasureCode) -> None:
    apart = np.zeros((40, 80), dtype=np.uint8)[:, :72]
    with pytest.raises(ValueError, match="80 bytes apart"):
        code.encode_frame(apart, 2, 0, 3)
    with pytest.raises(ValueError, match="80 bytes apart"):
        code.decode_frame(apart, 2, np.array([3]), np.array([21]))


@installed
@pytest.mark.parametrize("missing", [1, 7, 40])
def test_nothing_is_written_beside_the_memory_it_has(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded: list[NDArray[np.uint8]] = []

    def memory(self: IsalCode, size: int) -> NDArray[np.uint8]:
        whole = np.full(size + 2 * GUARD, 0xA5, dtype=np.uint8)
        guarded.append(whole)
        return whole[GUARD:-GUARD]

    monkeypatch.setattr(IsalCode, "_memory", memory)
    blocks = 3
    frame = np.random.default_rng(missing).integers(0, 256, (3 * 100 + 1, 4000), dtype=np.uint8)
    around = np.full((len(frame) + 2, 4000), 0xA5, dtype=np.uint8)
    around[1:-1] = frame
    inside = around[1:-1]
    parity = CODE.encode_frame(inside, blocks, 0, missing)
    rows = np.arange(missing * blocks)
    numbers = rows // blocks
    for row, number in zip(rows, numbers, strict=True):
        inside[row] = parity[number, row % blocks]
    k = np.array([101, 100, 100])
    CODE.decode_frame(inside, blocks, rows, k[rows % blocks] + numbers)
    assert np.array_equal(inside, frame)
    assert (around[0] == 0xA5).all()
    assert (around[-1] == 0xA5).all()
    assert guarded
    for whole in guarded:
        assert (whole[:GUARD] == 0xA5).all()
        assert (whole[-GUARD:] == 0xA5).all()


@installed
def test_a_parity_that_only_shorter_blocks_have_rebuilds_them() -> None:
    frame = np.random.default_rng(4).integers(0, 256, (3 * 100 + 1, 8), dtype=np.uint8)
    broken = frame.copy()
    broken[[1, 2]] = OURS.encode(frame[1::3], [255])[0], OURS.encode(frame[2::3], [255])[0]
    CODE.decode_frame(broken, 3, np.array([1, 2]), np.array([255, 255]))
    assert broken.tobytes() == frame.tobytes()


@installed
@pytest.mark.parametrize(
    ("missing", "parity"), [([0, 1], [4]), ([4], [4]), ([-1], [4]), ([1, 1], [4, 5]), ([0], [4, 4]), ([0], [3])]
)
def test_it_refuses_what_cannot_work(missing: list[int], parity: list[int]) -> None:
    block = np.arange(32, dtype=np.uint8).reshape(4, 8)
    with pytest.raises(ValueError, match=r"missing|parity"):
        CODE.decode(block, missing, parity, np.zeros((len(parity), 8), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"missing|parity"):
        CODE.decode_frame(block, 1, np.array(missing), np.array(parity))
    assert block.tobytes() == bytes(range(32))
    with pytest.raises(ValueError, match="multiple of"):
        CODE.encode(np.zeros((4, 12), dtype=np.uint8), [4])


def test_without_the_library_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isal, "candidates", lambda: ["libnobody.so.7"])
    assert isinstance(find_code.__wrapped__(), CauchyCode)


@pytest.mark.tools("cc")
def test_a_library_that_multiplies_by_matrices_is_taken_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libisal.so"
    subprocess.run(
        [find_program("cc") or "", "-shared", "-fPIC", "-O1", "-o", str(library), str(BY_MATRICES)], check=True
    )
    monkeypatch.setattr(isal, "candidates", lambda: [str(library)])
    code = find_code.__wrapped__()
    assert isinstance(code, IsalCode)
    frame = np.random.default_rng(8).integers(0, 256, (200, 16), dtype=np.uint8)
    made = code.encode_frame(frame, 3, 0, 4)
    assert made.tobytes() == OURS.encode_frame(frame, 3, 0, 4).tobytes()
    broken, rows = frame.copy(), np.array([3, 6, 7, 11])
    broken[rows] = made[[0, 1, 0, 3], [0, 0, 1, 2]]
    code.decode_frame(broken, 3, rows, np.array([67, 68, 67, 66 + 3]))
    assert broken.tobytes() == frame.tobytes()


@installed
def test_the_wheel_goes_before_the_system_and_either_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    *wheels, system = isal.candidates()
    assert system == isal.LIBRARY
    assert [Path(wheel).parent.name for wheel in wheels] == ["pyeclib.libs"] * len(wheels)
    for name in (*wheels, system):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue  # one of the two is enough
        monkeypatch.setattr(isal, "candidates", lambda name=name: ["libnobody.so.7", "libc.so.6", name])
        code = find_code.__wrapped__()
        assert isinstance(code, IsalCode)
        frame = np.random.default_rng(2).integers(0, 256, (90, 72), dtype=np.uint8)
        assert code.encode_frame(frame, 4, 0, 6).tobytes() == OURS.encode_frame(frame, 4, 0, 6).tobytes()


def test_without_the_wheel_only_the_name_of_the_system_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(isal, "_WHEEL", "nobodys_wheel")
    assert isal.candidates() == [isal.LIBRARY]
    package = tmp_path / "nobodys_wheel"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('nothing of it is run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert isal.candidates() == [isal.LIBRARY], "built without libraries of its own"


def test_a_library_that_is_another_or_wrong_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isal, "candidates", lambda: ["libc.so.6"])
    assert isinstance(find_code.__wrapped__(), CauchyCode)

    class Wrong:
        def __init__(self, library: ctypes.CDLL) -> None:
            pass

        def encode(self, block: np.ndarray, parity: list[int]) -> np.ndarray:
            return np.zeros((len(parity), block.shape[1]), dtype=np.uint8)

    monkeypatch.setattr(isal, "IsalCode", Wrong)
    assert isinstance(find_code.__wrapped__(), CauchyCode)
