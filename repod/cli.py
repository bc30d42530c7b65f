"""The command `repod`: its commands are files of `repod.commands`; each imports heavy parts only when it runs."""

from __future__ import annotations

import typer

from core.cli import DebugOption, VersionOption
from repod.commands.diff import diff
from repod.commands.export import export
from repod.commands.gc import gc
from repod.commands.import_image import import_image
from repod.commands.init import init
from repod.commands.ls import ls
from repod.commands.rm import rm
from repod.commands.serve import serve
from repod.commands.sessions import sessions
from repod.commands.show import show
from repod.commands.token import token
from repod.commands.torrents import torrents
from repod.commands.verify import verify

__all__ = ["app"]

app = typer.Typer(
    name="repod",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def repod(debug: DebugOption = False, version: VersionOption = False) -> None:
    """Repository of disk images, and the daemon that gives them to a room of computers.

    \b
    First steps:
      repod init /srv/images --host images.example.org
      repod import /srv/images /dev/sda2 --name classroom
      repod serve /srv/images
    Then copy /srv/images/client.toml to the clients and use ogcast there.
    """


app.command("init")(init)
app.command("serve")(serve)
app.command("sessions")(sessions)
app.command("import")(import_image)
app.command("ls")(ls)
app.command("show")(show)
app.command("verify")(verify)
app.command("export")(export)
app.command("torrents")(torrents)
app.command("rm")(rm)
app.command("gc")(gc)
app.command("diff")(diff)
app.command("token")(token)
