"""How a command ends: errors become a line, a hint and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys

from core.errors import OgcastError
from core.startup import EXIT_TERMINATED, Terminated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DEBUG_VARIABLE", "EXIT_INTERRUPTED", "debugging", "ended", "first_error", "say", "told_if_interrupted"]

EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells expect
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
DEBUG_VARIABLE = "OGCAST_DEBUG"


def debugging() -> bool:
    """Whether tracebacks are wanted: --debug, or OGCAST_DEBUG=1."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def ended(work: Callable[[], object]) -> int:
    """Do `work` and return the exit code; what went wrong is on standard error as `error: …` and `hint: …`.

    An OgcastError ends with its own code, SystemExit with the one it brings, Ctrl-C with 130, SIGTERM that was heeded
    with 143, anything unforeseen with 40; a whole number that `work` returns is the code.
    """
    try:
        result = work()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except Terminated:
        say("interrupted")
        return EXIT_TERMINATED
    except SystemExit as error:
        return _after_exit(error)
    except KeyboardInterrupt:
        say("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _close_broken_pipe()
    except BaseExceptionGroup as group:
        return _report(first_error(group))
    except Exception as error:
        return _report(error)


@contextlib.contextmanager
def told_if_interrupted(message: str) -> Iterator[None]:
    """Say `message` where Ctrl-C, or SIGTERM that is heeded, ends the block, instead of a bare `interrupted`."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        say(message)
        raise SystemExit(EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED) from None


def _report(error: BaseException) -> int:
    if debugging():
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OgcastError):
        say(f"error: {error}", error.hint)
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror}")
    else:
        say(
            f"error: unexpected {type(error).__name__}: {error}",
            f"this is a defect of ogcast; run again with {DEBUG_VARIABLE}=1 and report what it shows",
        )
    return OgcastError.exit_code


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a group worth showing: one made for a person if there is one."""
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
        say(error.code)
        return OgcastError.exit_code
    return error.code or 0


def _close_broken_pipe() -> int:
    """Whoever read our output has gone: say nothing, and leave nothing for the interpreter to flush at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return EXIT_BROKEN_PIPE


def say(message: str, hint: str | None = None) -> None:
    """Tell a person, on standard error; harmless if nobody reads there."""
    lines = [message] if hint is None else [message, f"hint: {hint}"]
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
