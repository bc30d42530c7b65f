"""The outermost frame of a command: errors become a line, a hint and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from core.errors import OgcastError, UsageError

__all__ = ["EXIT_INTERRUPTED", "DebugOption", "VersionOption", "debugging", "run"]

EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells expect
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
DEBUG_VARIABLE = "OGCAST_DEBUG"

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


def debugging() -> bool:
    """Whether tracebacks are wanted: --debug, or OGCAST_DEBUG=1."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def run(
    app: typer.Typer, args: list[str] | None = None, *, on_usage: Callable[[UsageError], None] | None = None
) -> int:
    """Run `app` and return the exit code; what went wrong is on standard error as `error: …` and `hint: …`.

    `on_usage` hears of a command line that was wrong before any command began, and so could tell of it itself.

    Wrong usage ends with 1 (FORMAT of OpenGnsys), an OgcastError with its own code, an interruption with 130,
    anything unforeseen with 40.
    """
    try:
        result = app(args=args, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SystemExit as error:
        return _after_exit(error)
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _close_broken_pipe()
    except _CLICK_ERROR as error:
        return _report_usage(error, on_usage)
    except BaseExceptionGroup as group:
        return _report(_first(group))
    except Exception as error:
        return _report(error)


def _report(error: BaseException) -> int:
    if debugging():
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OgcastError):
        _say(f"error: {error}", error.hint)
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror}")
    else:
        _say(
            f"error: unexpected {type(error).__name__}: {error}",
            f"this is a defect of ogcast; run again with {DEBUG_VARIABLE}=1 and report what it shows",
        )
    return OgcastError.exit_code


def _report_usage(error: Exception, on_usage: Callable[[UsageError], None] | None) -> int:
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "the command"
    format_message = getattr(error, "format_message", error.__str__)
    message = format_message()
    # "no command given" comes with the whole help as its message, which is what the person needs
    if type(error).__name__ == "NoArgsIsHelpError":
        _say(message)
        told = UsageError("no command given", hint=f"'{command} --help' shows them")
    else:
        hint = _misplaced(error, context) or f"'{command} --help' shows the options and examples"
        told = UsageError(f"{message[:1].lower()}{message[1:]}", hint=hint)
        _say(f"error: {told}", told.hint)
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


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error worth showing: one made for a person if there is one."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = [group]
    while todo:
        error = todo.pop(0)
        if isinstance(error, BaseExceptionGroup):
            todo = [*error.exceptions, *todo]
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, OgcastError)), leaves[0])


def _after_exit(error: SystemExit) -> int:
    if isinstance(error.code, str):
        _say(error.code)
        return OgcastError.exit_code
    return error.code or 0


def _close_broken_pipe() -> int:
    """Whoever read our output has gone: say nothing, and leave nothing for the interpreter to flush at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return EXIT_BROKEN_PIPE


def _say(message: str, hint: str | None = None) -> None:
    lines = [message] if hint is None else [message, f"hint: {hint}"]
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
