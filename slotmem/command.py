"""The command `slotmem`: it finds the subcommand, and ends every run in a clean way.

A subcommand is a module in the entry-point group `slotmem.commands`, so that each package adds its
own and none imports upwards:

- its docstring: the first line is shown in `slotmem --help`, the rest at the end of its own help;
- `configure(parser)` adds its arguments; `run(arguments)` runs it and returns the exit code;
- `SYNONYMS`, if it has that, is a literal of other words for it, by which it is suggested.

Exit codes: what `run` returns (0 held, 1 violated, 2 usage or environment, 3 undecided); 2 for a
usage error, an error of slotmem, a missing package, or an exception that nobody foresaw, which is a
bug; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP; 141 if the reader of the output has gone
away.

No exception shows its traceback, unless the variable SLOTMEM_TRACEBACK is set.

Only the module of the chosen command is imported. The help lines of the others are read from their
source.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import re
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from slotmem import __version__, environment, terminal
from slotmem.exit_codes import HANGUP, INTERRUPTED, TERMINATED, UNREAD, USAGE
from slotmem.status import SlotmemError

GROUP = "slotmem.commands"
_TRACEBACK = "SLOTMEM_TRACEBACK"
# Ours are known without installed metadata: the command also works when the library is merely on
# the path.
_BUILT_IN = {"doctor": "slotmem.doctor.command", "inspect": "slotmem.inspect.command"}
_LIKE_INTERRUPTS = {"SIGTERM": TERMINATED, "SIGHUP": HANGUP}
"""The signals that end a command like Ctrl-C, where the system has them, and its exit code."""


class _Command(NamedTuple):
    """Where a subcommand comes from."""

    module: str
    package: str
    requires: Sequence[str]
    """The requirements of its package, as in its metadata: `rich>=13; extra == 'verify'`."""


class _Missing(SlotmemError):
    """A command that cannot be loaded on this machine."""


def main(given: Sequence[str] | None = None) -> int:
    """Run `slotmem` with the arguments given (default: the process's own).

    Returns the exit code.
    """
    with terminal.escaping():
        return _main(sys.argv[1:] if given is None else given)


def _main(given: Sequence[str]) -> int:
    prog = "slotmem"
    interrupts: list[int] = []
    try:
        with _noting(interrupts):
            if not given or given[0].startswith("-"):
                return _run_none(given)
            prog = f"slotmem {given[0]}"
            code = _run(given[0], given[1:], prog)
            if sys.stdout is not None:  # None: it was closed before we began, and print does nothing
                sys.stdout.flush()  # here, where a closed pipe or a full disk can still be handled
            return _signalled(interrupts) if code == INTERRUPTED else code
    except KeyboardInterrupt:
        _drop_what_is_left()  # the terminal may be gone
        return _signalled(interrupts)
    except SlotmemError as error:
        print(f"{prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    except Exception as error:
        if interrupts:
            _drop_what_is_left()
            return _signalled(interrupts)  # in some places, such as a class body, Python turns it into another error
        if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout.fileno()):
            _drop_what_is_left()
            return UNREAD
        print(f"{prog}: {environment.explains(error) or _bug(error)}", file=sys.stderr)
        if os.environ.get(_TRACEBACK):
            traceback.print_exception(error)
        _drop_what_is_left()
        return USAGE


def _bug(error: Exception) -> str:
    """Return a line that says that an exception is a bug of ours, and where it was raised."""
    *_, place = traceback.extract_tb(error.__traceback__)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return (
        f"this is a bug in slotmem {__version__}, and says nothing about what was tried: {said} "
        f"({os.path.basename(place.filename)}, line {place.lineno}); please report it to its maintainers, with the "
        f"traceback that {_TRACEBACK}=1 shows"
    )


def _drop_what_is_left() -> None:
    """Redirect standard output to nowhere if it cannot be written to: Python flushes it once more
    at the end.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _signalled(interrupts: Sequence[int]) -> int:
    """Return the exit code of a command that a signal ended, as shells count."""
    names = {signal.Signals(number).name for number in interrupts}
    return next((code for name, code in _LIKE_INTERRUPTS.items() if name in names), INTERRUPTED)


@contextmanager
def _noting(interrupts: list[int]) -> Iterator[None]:
    """Note every Ctrl-C, so that none is lost; SIGTERM and SIGHUP count as one.

    Where Python cannot raise (in `__del__`, and in callbacks of the garbage collector, which
    Hypothesis has), it reports a KeyboardInterrupt and goes on. We raise it again a moment later.
    """
    noted = [signal.SIGALRM] if hasattr(signal, "setitimer") else []
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        noted.append(signal.SIGINT)
    others = [getattr(signal, name) for name in _LIKE_INTERRUPTS if hasattr(signal, name)]
    noted += [number for number in others if signal.getsignal(number) is signal.SIG_DFL]  # `nohup` ignores SIGHUP
    if len(noted) < 2 or threading.current_thread() is not threading.main_thread():
        yield
        return
    hook, process = sys.unraisablehook, os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if number in others and os.getpid() != process:  # a forked child is asked to end
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    def raise_again(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        else:
            hook(unraisable)

    handlers = [(number, signal.signal(number, note)) for number in noted]
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in handlers:
            signal.signal(number, handler)


def _run_none(given: Sequence[str]) -> int:
    """Answer a call without a subcommand, and return the exit code."""
    commands = _find()
    width = max(map(len, commands))
    lines = "".join(f"  {name:<{width}}  {_help_line(found)}\n" for name, found in sorted(commands.items()))
    parser = argparse.ArgumentParser(
        "slotmem",
        usage="slotmem COMMAND [ARGUMENT ...]",
        description="Slot-based shared memory as Apache httpd defines it: look into it, measure it, hold it to its specification.",
        epilog=f"commands:\n{lines}\nslotmem COMMAND --help tells more about one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"slotmem {__version__}")
    parser.parse_args(given)
    parser.print_help(sys.stderr)
    return USAGE


def _run(name: str, given: Sequence[str], prog: str) -> int:
    """Run one subcommand and return its exit code."""
    module = _load(name)
    first, _, rest = (module.__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog, description=first, epilog=rest.strip("\n"), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.configure(parser)
    code: int = module.run(parser.parse_args(given))
    return code


def _find() -> dict[str, _Command]:
    """Return every known subcommand."""
    from importlib.metadata import entry_points  # slow to import, and `inspect` does not need it

    commands = {}
    for entry in entry_points(group=GROUP):
        package, requires = (entry.dist.name, entry.dist.requires or ()) if entry.dist else ("?", ())
        commands[entry.name] = _Command(entry.value, package, requires)
    return commands | {name: _Command(module, "slotmem", ()) for name, module in _BUILT_IN.items()}


def _load(name: str) -> ModuleType:
    """Import the module of a subcommand.

    Raises:
        _Missing: says what to do.
    """
    if name in _BUILT_IN:
        return importlib.import_module(_BUILT_IN[name])
    commands = _find()
    if name not in commands:
        raise _Missing(f"no such command{_suggestion(name, commands)}")
    found = commands[name]
    try:
        return importlib.import_module(found.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{found.module}.".startswith(f"{missing}."):
            raise _Missing(
                f"{found.package} registers the module {found.module}, which does not exist; reinstall {found.package}"
            ) from None
        top = missing.partition(".")[0]
        if top in sys.stdlib_module_names or importlib.util.find_spec(top):
            raise  # a bug in the command, not in the installation
        what = _extra(found, top)
        raise _Missing(f"it needs the package {top!r}, which is not installed; pip install {what}") from None


def _suggestion(name: str, commands: Mapping[str, _Command]) -> str:
    """Name the commands that are meant by a word that is none: by spelling, else by meaning."""
    from difflib import get_close_matches  # rarely needed

    meant = get_close_matches(name, commands, n=1)
    meant = meant or [command for command, found in sorted(commands.items()) if name.lower() in _synonyms(found)]
    return f"; did you mean {' or '.join(map(repr, meant))}?" if meant else f"; known: {', '.join(sorted(commands))}"


def _synonyms(found: _Command) -> Sequence[str]:
    """Return the other words for a command, without importing it."""
    module = _parsed(found)
    for statement in module.body if module else ():
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "SYNONYMS":
            with suppress(ValueError):  # not a literal
                return tuple(map(str, ast.literal_eval(statement.value)))
    return ()


def _extra(found: _Command, missing: str) -> str:
    """Return what to install with pip: the smallest extra that has the missing package, else the
    package alone.
    """
    extras: dict[str, list[str]] = {}
    for requirement in found.requires:
        package = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w.-]+)", requirement)
        if package and extra:
            extras.setdefault(extra[1], []).append(package[0].replace("-", "_").lower())
    fitting = [extra for extra, packages in extras.items() if missing.lower() in packages]
    return f"'{found.package}[{min(fitting, key=lambda extra: len(extras[extra]))}]'" if fitting else f"'{missing}'"


def _help_line(found: _Command) -> str:
    """Return the first line of a command's docstring, without importing the command."""
    if (module := _parsed(found)) is None:
        return f"(not usable: there is no module {found.module})"
    return (ast.get_docstring(module) or "").partition("\n")[0]


def _parsed(found: _Command) -> ast.Module | None:
    """Return the parsed source of a command's module; None if it cannot be read."""
    with suppress(ImportError, SyntaxError, AttributeError):  # AttributeError: a loader without sources
        spec = importlib.util.find_spec(found.module)
        if spec is not None and spec.loader is not None:
            return ast.parse(spec.loader.get_source(found.module) or "")  # type: ignore[attr-defined]
    return None


def _is_unread(fd: int) -> bool:
    """Return whether the other end of a pipe is closed."""
    if not hasattr(select, "poll"):
        return True
    poller = select.poll()
    poller.register(fd, 0)
    return bool(poller.poll(0))


if __name__ == "__main__":
    sys.exit(main())
