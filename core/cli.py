"""Command lines read by typer: the options that all have, and what is said of one that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from core.ending import DEBUG_VARIABLE, EXIT_INTERRUPTED, ended, say
from core.errors import UsageError

__all__ = ["DebugOption", "VersionOption", "run"]

# typer carries its own copy of click since 0.27 and imports it before; either way this is the base of its errors.
_CLICK_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def _enable_debug(given: bool) -> None:
    if given:
        os.environ[DEBUG_VARIABLE] = "1"


def _show_version(given: bool) -> None:
    if given:
        from core.version import __version__

        typer.echo(f"ogcast {__version__}")
        raise typer.Exit


DebugOption = Annotated[
    bool,
    typer.Option("--debug", help="Show a traceback when something fails.", callback=_enable_debug, is_eager=True),
]
VersionOption = Annotated[
    bool, typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True)
]


def run(
    app: typer.Typer, args: list[str] | None = None, *, on_usage: Callable[[UsageError], None] | None = None
) -> int:
    """Run `app` and return the exit code as `core.ending.ended` does; wrong usage ends with 1 (FORMAT of OpenGnsys).

    `on_usage` hears of a command line that was wrong before any command began, and so could tell of it itself.
    """

    def work() -> object:
        try:
            if (code := app(args=args, standalone_mode=False)) == EXIT_INTERRUPTED:
                raise KeyboardInterrupt  # typer made a code of it
            return code
        except typer.Abort:
            raise KeyboardInterrupt from None
        except _CLICK_ERROR as error:
            return _report_usage(error, on_usage)

    return ended(work)


def _report_usage(error: Exception, on_usage: Callable[[UsageError], None] | None) -> int:
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "the command"
    format_message = getattr(error, "format_message", error.__str__)
    message = format_message()
    # "no command given" comes with the whole help as its message, which is what the person needs
    if type(error).__name__ == "NoArgsIsHelpError":
        say(message)
        told = UsageError("no command given", hint=f"'{command} --help' shows them")
    else:
        hint = _misplaced(error, context) or f"'{command} --help' shows the options and examples"
        told = UsageError(f"{message[:1].lower()}{message[1:]}", hint=hint)
        say(f"error: {told}", told.hint)
    if on_usage is not None:
        on_usage(told)
    return UsageError.exit_code


def _misplaced(error: Exception, context: Any) -> str | None:
    """What to say of an option that stands after the command and belongs before it."""
    option = getattr(error, "option_name", None)
    outer = context.parent if context is not None else None
    while option and outer is not None:
        if any(option in parameter.opts for parameter in outer.command.params):
            inner = context.command_path.removeprefix(outer.command_path).strip()
            return f"it goes before the command: {outer.command_path} {option} … {inner} …"
        outer = outer.parent
    return None
