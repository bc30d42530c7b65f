"""`python -m bench lab …`: a lab to try things in by hand."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from bench.lab import shell
from bench.lab.plan import Step, namespace
from bench.lab.rig import Rig
from bench.lab.topology import INTERFACE, ROUTER, SWITCH, Host, Link, Topology, room
from core.errors import UsageError

__all__ = ["make_app"]

HELP = """Hosts in network namespaces to try things in: limited links, loss, several subnets. Needs root.

\b
Examples:
  python -m bench lab up --clients 8 --rate 200 --loss 1
  python -m bench lab run server -- repod serve /srv/images --interface eth0
  python -m bench lab run c1 -- ogcast --config client.toml restore classroom null: --method MULTICAST-DIRECT
  python -m bench lab down
"""
NameOption = Annotated[str, typer.Option("--name", help="Name of the lab: letters and digits.")]
MBIT = 1e6


def up(
    clients: Annotated[int, typer.Option(min=1, help="Hosts c1, c2, … beside the host `server`.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="Rate of every link, Mbit/s; 0: no limit.")] = 200,
    loss: Annotated[float, typer.Option(min=0, max=99, help="Packets lost on each client's path, percent.")] = 0,
    subnets: Annotated[int, typer.Option(min=1, max=16, help="Subnets, joined by a router.")] = 1,
    routed: Annotated[bool, typer.Option("--routed", help="The router forwards multicast (smcroute).")] = False,
    name: NameOption = "lab",
) -> None:
    """Build a lab; an older one of the same name is removed first.

    \b
    Examples:
      python -m bench lab up --clients 8 --rate 200 --loss 1
      python -m bench lab up --clients 6 --subnets 2 --routed
    """
    topology = room(clients, rate_bits_per_s=rate * MBIT, loss=loss / 100, subnets=subnets, multicast_routing=routed)
    rig = Rig(topology, name=name)
    rig.remove()
    try:
        rig.build()
    except BaseException:
        rig.remove()
        raise
    show(name)


def down(
    name: NameOption = "lab",
    leftovers: Annotated[bool, typer.Option("--leftovers", help="Only what runs that were killed left.")] = False,
) -> None:
    """End everything in a lab and delete it, and with it what killed runs left. Harmless if there is none.

    \b
    Examples:
      python -m bench lab down
      python -m bench lab down --leftovers
    """
    for lab in [*shell.leftovers(), *([] if leftovers else [name])]:
        count = shell.remove(lab)
        print(f"lab {lab}: {count} hosts removed")


def show(name: NameOption = "lab") -> None:
    """Hosts, addresses and what crossed each cable so far.

    \b
    Examples:
      python -m bench lab show
    """
    rig = _attached(name)
    print(f"{'host':10} {'address':14} {'to host: packets':>16} {'bytes':>13} {'lost':>8} {'overflow':>8}", end="")
    print(f" {'from: packets':>14} {'bytes':>13} {'groups':>8}")
    for host, seen in rig.counters().items():
        words = ("ip", "-n", namespace(name, host), "-br", "-4", "addr", "show", "dev", INTERFACE)
        address = shell.output_of(Step(words=words)).decode().split()[2].partition("/")[0]
        print(f"{host:10} {address:14} {seen.to_packets:16} {seen.to_bytes:13} {seen.to_lost:8}", end="")
        print(f" {seen.to_overflows:8} {seen.from_packets:14} {seen.from_bytes:13} {seen.from_group_packets:8}")


def set_link(
    host: Annotated[str, typer.Argument(help="Host to change.")],
    rate: Annotated[float, typer.Option(min=0, help="Rate of its link, Mbit/s; 0: no limit.")],
    loss: Annotated[float, typer.Option(min=0, max=99, help="Packets lost on its path, percent.")] = 0,
    cable: Annotated[bool, typer.Option("--cable/--no-cable", help="Whether its cable is plugged in.")] = True,
    multicast: Annotated[bool, typer.Option("--multicast/--no-multicast", help="Whether groups pass.")] = True,
    name: NameOption = "lab",
) -> None:
    """Change one host's path while packets flow.

    \b
    Examples:
      python -m bench lab set c3 --rate 50 --loss 5
      python -m bench lab set c3 --rate 50 --no-multicast
      python -m bench lab set c3 --rate 50 --no-cable
    """
    rig = _attached(name)
    rig.set_link(host, Link(rate_bits_per_s=rate * MBIT, loss=loss / 100))
    rig.block_multicast(host, blocked=not multicast)
    rig.set_cable(host, up=cable)


def run(
    host: Annotated[str, typer.Argument(help="Host to run in.")],
    words: Annotated[list[str], typer.Argument(help="The command; put -- before it.")],
    name: NameOption = "lab",
) -> None:
    """Run a command in a host.

    \b
    Examples:
      python -m bench lab run server -- repod serve /srv/images --interface eth0
      python -m bench lab run c1 -- ip addr
    """
    command = _attached(name).command(host, words)
    os.execvp(command[0], command)


def _attached(name: str) -> Rig:
    """The lab that exists under a name, as far as its namespaces tell."""
    hosts = [each.rpartition("-")[2] for each in shell.namespaces_of(name)]
    if SWITCH not in hosts:
        raise UsageError(f"no lab {name!a}", hint="make one: python -m bench lab up")
    return Rig(Topology(hosts=tuple(Host(name=one) for one in hosts if one not in (SWITCH, ROUTER))), name=name)


def make_app() -> typer.Typer:
    """The commands of `python -m bench lab`."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        help=HELP,
    )
    for name, command in (("up", up), ("down", down), ("show", show), ("set", set_link), ("run", run)):
        app.command(name)(command)
    return app
