from __future__ import annotations

from transports.multicast.patience import FEW_SLOTS, PATIENCE_SHARE, Patience

MIB = 1 << 20
SLOT = 8 * MIB
STEP = 4


def patience(*, limit: int = 1 << 30, free: int = 1 << 40) -> Patience:
    return Patience(SLOT, limit_bytes=limit, free_bytes=lambda: free)


def test_memory_is_given_as_it_is_needed() -> None:
    memory = patience()
    assert memory.poll(free=FEW_SLOTS) == []
    assert memory.given_bytes == 0
    slots = memory.poll(free=FEW_SLOTS - 1)
    assert [len(slot.view) for slot in slots] == [SLOT] * STEP
    assert len(memory.poll(free=0)) == STEP
    assert memory.given_bytes == 2 * STEP * SLOT


def test_small_slots_are_given_while_there_are_some_for_most_of_a_second() -> None:
    memory = Patience(MIB, free_bytes=lambda: 1 << 40)
    assert memory.poll(free=16) == []
    assert len(memory.poll(free=15)) == 32


def test_what_came_back_is_given_again_before_more_is_taken() -> None:
    memory = patience()
    slots = memory.poll(free=0)
    slots[0].release()
    assert len(memory.poll(free=0)) == 1
    assert memory.given_bytes == STEP * SLOT


def test_there_is_a_limit() -> None:
    memory = patience(limit=STEP * SLOT)
    assert memory.lasts(free=0)
    held = memory.poll(free=0)
    assert memory.poll(free=0) == []
    assert not memory.lasts(free=0)
    assert memory.lasts(free=FEW_SLOTS)
    held.pop().release()
    assert memory.lasts(free=0)


def test_a_machine_with_little_memory_keeps_it() -> None:
    step = STEP * SLOT
    assert not patience(free=int(step / PATIENCE_SHARE) - 1).lasts(free=0)
    memory = patience(free=int(step / PATIENCE_SHARE))
    assert memory.poll(free=0) != []
    # What was given out counts as free: it would be without it.
    assert memory.poll(free=0) == []


def test_slots_larger_than_a_step_are_given_one_by_one() -> None:
    assert len(Patience(64 * MIB, free_bytes=lambda: 1 << 40).poll(free=0)) == 1


def test_what_was_given_out_does_not_count_as_what_others_took() -> None:
    total = int(2 * STEP * SLOT / PATIENCE_SHARE)
    memory = Patience(SLOT, limit_bytes=1 << 40, free_bytes=lambda: total - memory.given_bytes)
    assert len(memory.poll(free=0)) == STEP
    assert len(memory.poll(free=0)) == STEP
    assert memory.poll(free=0) == []
