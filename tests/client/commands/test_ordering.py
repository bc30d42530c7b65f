"""What the command line has comes out as an Order; tests/client/test_order.py compares it with what is read early."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from client.commands.ordering import ordering
from client.order import Order
from client.run import Options


def _ordered(*words: str) -> dict[str, object]:
    heard: list[Order] = []
    app = typer.Typer()
    app.command()(ordering(lambda given, order: heard.append(order)))
    assert CliRunner().invoke(app, list(words)).exit_code == 0
    (order,) = heard
    return vars(order)


def test_what_is_not_said_is_as_an_order_has_it() -> None:
    assert _ordered("classroom", "/dev/sda2") == vars(Order(name="classroom", target="/dev/sda2"))


def test_everything_that_is_said_counts() -> None:
    words = ["--method", "UNICAST-CACHE", "--options", "1:2", "--no-fallback", "--seed", "--cache", "/c"]
    assert _ordered("classroom@3", "disk.img", *words, "--verify", "full", "--discard") == vars(
        Order(
            name="classroom@3",
            target="disk.img",
            method="UNICAST-CACHE",
            options="1:2",
            fallback=False,
            seed=True,
            cache="/c",
            verify="full",
            discard=True,
        )
    )


def test_the_options_before_the_command_are_handed_on() -> None:
    heard: list[Options] = []
    app = typer.Typer()
    app.command()(ordering(lambda given, order: heard.append(given)))
    given = Options(config=None, repo="r", interface=None, json=True)
    assert CliRunner().invoke(app, ["a", "b"], obj=given).exit_code == 0
    assert heard == [given]
