"""One word does not ban, two do; who slanders is found out."""

from __future__ import annotations

from transports.p2p.proto.accusations import SLANDERS, Accusations


def test_the_second_accuser_bans_and_the_same_one_twice_does_not() -> None:
    accusations = Accusations()
    assert accusations.accuse("s1", "s9") is None
    assert accusations.accuse("s1", "s9") is None
    assert accusations.against("s9") == 1
    assert accusations.accuse("s2", "s9") == "s9"


def test_where_nobody_could_confirm_it_one_word_is_enough() -> None:
    assert Accusations().accuse("s1", "s9", alone=True) == "s9"


def test_who_accuses_many_that_nobody_else_accuses_is_banned() -> None:
    accusations = Accusations()
    found = [accusations.accuse("s1", f"s{accused}") for accused in range(10, 10 + SLANDERS)]
    assert found == [None] * (SLANDERS - 1) + ["s1"]


def test_what_others_confirmed_is_no_slander() -> None:
    accusations = Accusations()
    for accused in range(10, 10 + SLANDERS):
        accusations.accuse(f"s{accused + 100}", f"s{accused}")
        assert accusations.accuse("s1", f"s{accused}") == f"s{accused}"


def test_several_sessions_of_one_name_are_one_accuser() -> None:
    accusations = Accusations()
    assert accusations.accuse("s1", "s9", name="at 10.0.0.1") is None
    assert accusations.accuse("s2", "s9", name="at 10.0.0.1") is None
    accusations.forget("s2")
    assert accusations.against("s9") == 1
    assert accusations.accuse("s3", "s9", name="at 10.0.0.2") == "s9"


def test_the_word_of_who_has_gone_does_not_count() -> None:
    accusations = Accusations()
    accusations.accuse("s1", "s9")
    accusations.forget("s1")
    assert accusations.accuse("s2", "s9") is None
    accusations.forget("s9")
    assert accusations.against("s9") == 0
