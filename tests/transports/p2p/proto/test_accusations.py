"""One word does not ban, two do; who slanders is found out."""

from __future__ import annotations

from transports.p2p.proto.accusations import SLANDERS, Accusations


def test_the_second_accuser_bans_and_the_same_one_twice_does_not() -> None:
    accusations = Accusations()
    assert accusations.accuse(1, 9) is None
    assert accusations.accuse(1, 9) is None
    assert accusations.against(9) == 1
    assert accusations.accuse(2, 9) == 9


def test_where_nobody_could_confirm_it_one_word_is_enough() -> None:
    assert Accusations().accuse(1, 9, alone=True) == 9


def test_who_accuses_many_that_nobody_else_accuses_is_banned() -> None:
    accusations = Accusations()
    found = [accusations.accuse(1, accused) for accused in range(10, 10 + SLANDERS)]
    assert found == [None] * (SLANDERS - 1) + [1]


def test_what_others_confirmed_is_no_slander() -> None:
    accusations = Accusations()
    for accused in range(10, 10 + SLANDERS):
        accusations.accuse(accused + 100, accused)
        assert accusations.accuse(1, accused) == accused


def test_the_word_of_who_has_gone_does_not_count() -> None:
    accusations = Accusations()
    accusations.accuse(1, 9)
    accusations.forget(1)
    assert accusations.accuse(2, 9) is None
    accusations.forget(9)
    assert accusations.against(9) == 0
