"""`python -m bench SCENARIO`: run a measurement, show it as a table, keep it with the facts of the machine.

`python -m bench lab …` builds and removes test hosts by hand.
"""

from __future__ import annotations

import compileall
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from bench.machine import machine_facts
from bench.page import page
from bench.plots import can_plot, make_plots
from bench.results import Result, columns, load_results, save, text_of, to_result
from bench.scenario import Options, Scenario, choose_scenarios, scenarios
from core.errors import OgcastError, UsageError

__all__ = ["main"]

MIB = 1 << 20
TYPER_USAGE = 2
WIDE = 160
"""Columns of a table that goes to a file."""
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
EXAMPLES = """\b
What to type first (those with sudo need root, for network namespaces):
  python -m bench list                     each scenario and its question
  python -m bench demo                     every transport once, no figures
  python -m bench simnet --clients 200     a cast in virtual time
  sudo python -m bench multicast-room --size 64 --runs 1     a room of 8
  sudo python -m bench p2p --json          a family, for programs
  python -m bench restore --save           keep the result …
  python -m bench report                   … and write docs/benchmarks.md
  python -m bench lab --help               test hosts by hand
"""
NOT_IN_ALL = ("demo", "chunks")
"""Left out of `all`: one is no measurement, the other answers a question of design and takes long."""


def bench(
    scenario: Annotated[str, typer.Argument(help="a scenario, a family (multicast), or: list, all, report, lab")],
    json: Annotated[bool, typer.Option("--json", help="print the result as JSON, nothing else")] = False,
    runs: Annotated[int | None, typer.Option(min=1, help="measured runs of each row")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="MiB of material")] = None,
    folder: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, writable=True, help="work in this folder (a fast disk or tmpfs)"),
    ] = None,
    clients: Annotated[int | None, typer.Option(min=1, help="clients to simulate (simnet)")] = None,
    loss: Annotated[float | None, typer.Option(min=0, max=0.9, help="share of packets lost (simnet)")] = None,
    write: Annotated[bool, typer.Option("--save", help="keep the result in bench/results")] = False,
) -> None:
    """Measure ogcast against the tools in use today, on the same input in the same run."""
    out = Console(width=None if sys.stdout.isatty() else WIDE)
    err = Console(stderr=True)
    if scenario == "list":
        for name, one in scenarios().items():
            out.print(f"{name:10} {one.question}", highlight=False)
        return
    if scenario == "report":
        results = load_results()
        if not can_plot():
            err.print("matplotlib is not installed (pip install --group bench): the plots stay as they are")
        plots = make_plots(results, PAGE.parent / "img")
        others = [one for name, one in scenarios().items() if name not in NOT_IN_ALL]
        PAGE.write_text(page(results, plots={name: f"img/{path.name}" for name, path in plots.items()}, others=others))
        err.print(f"{PAGE} written from {len(results)} results, with {len(plots)} plots")
        return
    if scenario == "all":
        chosen = [one for name, one in scenarios().items() if name not in NOT_IN_ALL]
    else:
        chosen = choose_scenarios(scenario)
    # pip compiles what it installs; a checkout is not, and starting would be measured together with compiling
    for folder_name in ("core", "images", "transports", "repod", "client"):
        compileall.compile_dir(PAGE.parent.parent / folder_name, quiet=2)
    # as installing does (docs/operations.md)
    subprocess.run(
        [sys.executable, "-m", "client.bundling"], cwd=PAGE.parent.parent, stdout=subprocess.DEVNULL, check=True
    )
    good = True
    for one in chosen:
        if why := one.missing():
            err.print(f"{one.name} cannot run here: {why}", highlight=False)
            good = good and len(chosen) > 1
            continue
        bytes_wanted = size * MIB if size else one.size
        result = _run(one, runs or one.runs, bytes_wanted, folder, clients=clients, loss=loss, err=err)
        good = good and result.ok
        if json:
            out.print_json(msgspec.json.encode(result).decode())
        else:
            _show(result, out)
        if write:
            err.print(f"saved {save(result)}")
    if not good:
        raise typer.Exit(1)


def _run(
    scenario: Scenario,
    runs: int,
    size: int,
    folder: Path | None,
    *,
    clients: int | None,
    loss: float | None,
    err: Console,
) -> Result:
    work = Path(tempfile.mkdtemp(prefix=f"ogcast-bench-{scenario.name}-", dir=folder))

    def say(line: str) -> None:
        err.print(f"[dim]{line}[/]", highlight=False)

    try:
        outcome = scenario.run(Options(runs=runs, size=size, folder=work, say=say, clients=clients, loss=loss))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    command = f"python -m bench {scenario.name} --runs {runs} --size {size // MIB}"
    command += f" --clients {clients}" if clients else ""
    command += f" --loss {loss:g}" if loss is not None else ""
    return to_result(scenario, outcome, command=command, runs=runs, size=size, machine=machine_facts())


def _show(result: Result, out: Console) -> None:
    titles = columns(result.rows)
    notes = any(row.note for row in result.rows)
    table = Table("", *titles, *(["note"] if notes else []), title=result.question, title_justify="left")
    for row in result.rows:
        cells = [text_of(row.figures.get(title)) for title in titles]
        table.add_row(row.label, *cells, *([row.note] if notes else []))
    out.print(table)
    for name, value in result.summary.items():
        out.print(f"{name}: [bold]{text_of(value)}[/]", highlight=False)


def main() -> None:
    """Entry point."""
    # a scenario that is stopped gives its loop devices, mounts and folder back, as after Ctrl-C
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if sys.argv[1:2] == ["lab"]:
            from bench.lab.cli import make_app

            make_app()(args=sys.argv[2:], prog_name="bench lab")
        else:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            app.command(epilog=EXAMPLES)(bench)
            app(prog_name="bench")
    except SystemExit as error:  # wrong usage is 2 for typer, and 1 for all commands of ogcast
        sys.exit(UsageError.exit_code if error.code == TYPER_USAGE else error.code)
    except OgcastError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
