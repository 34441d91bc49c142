"""How every command ends: with what it was asked for, or with what is wrong and how to mend it, never a traceback."""

import contextlib
import errno
import io
import os
import signal
import sys
import traceback
from typing import Final, NoReturn

import click

from .terminal import STAYING, err

COMPLETING: Final = "_ZNS_GATEWAY_COMPLETE"  # the variable by which a shell asks for completions
_INTERRUPTED: Final = 130
_UNHEARD: Final = 141  # what a shell reports of a process that wrote to a pipe which nobody reads
_CANNOT: Final = 2


def ended(command: click.Command, name: str) -> NoReturn:
    """The command has run, all that it printed has left, and the process ends with the code that says how."""
    _prepare()
    if sys.stdout is None and COMPLETING not in os.environ and not STAYING & set(sys.argv[1:]):
        _tell("standard output is closed; give the command somewhere to print to")
        sys.exit(_CANNOT)
    try:
        code = command.main(prog_name=name, complete_var=COMPLETING, standalone_mode=False)
        _flush()
    except click.exceptions.Exit as asked:
        code = asked.exit_code
    except click.ClickException as wrong:
        wrong.show()
        code = wrong.exit_code
    except SystemExit:
        if COMPLETING in os.environ:
            raise
        _drop_output()  # so click leaves when nobody reads any more; nothing else here does
        code = _UNHEARD
    except (KeyboardInterrupt, click.Abort):
        _tell("interrupted")
        code = _INTERRUPTED
    except OSError as error:
        code = _cannot(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours is told in a line too, and where it lies
        if COMPLETING not in os.environ:  # nobody who types wants to read this
            _tell(f"this is a fault of zns-gateway's own, please report it: {_place(error)}")
        code = _CANNOT
    try:
        _flush()
    except OSError:
        _drop_output()
        code = _UNHEARD
    sys.exit(code if isinstance(code, int) else 0)


def _prepare() -> None:
    """Text that a terminal's character set does not have is written as escapes, which JSON understands too.

    Where one of the standard streams is closed, no file of ours may get its number: what is printed would end there. A
    gateway that is still starting loads its files anyway, so who tells it that they have changed need not end it.
    """
    if "serve" in sys.argv[1:]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _cannot(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        _drop_output()
        return _UNHEARD
    where = error.filename if isinstance(error.filename, str) else "standard output"
    cure = {
        errno.ENOSPC: "make room there",
        errno.EACCES: "give this user access to it",
        errno.EPERM: "give this user access to it",
        errno.EROFS: "choose another place",
        errno.ENOENT: "make its folder first",
        errno.EISDIR: "name a file",
        errno.EMFILE: "raise the limit: ulimit -n",
    }.get(error.errno or 0, "look at the disk and at the permissions")
    _tell(f"{where} cannot be used: {error.strerror or type(error).__name__}; {cure}")
    if where == "standard output":
        _drop_output()
    return _CANNOT


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        err.print(text, style="bad", markup=False)


def _place(error: Exception) -> str:
    """The kind of the error and the line of ours that it came through; not its text, which may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "gateway" in frame.filename] or frames
    where = f" at {os.path.relpath(ours[-1].filename)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}"


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _drop_output() -> None:
    """What is left to print goes nowhere, so that the interpreter does not complain about it at its end."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, sys.stdout.fileno())
