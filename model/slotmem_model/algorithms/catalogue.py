"""Algorithms by name.

Interface:

- `find(name)` returns the class: NAME from the entry-point group `slotmem.algorithms`, one of the
  model's own, `museum:PIECE`, or a class of the user's: `module:Class` (the current folder counts),
  `file.py:Class`, or `file.py` with one algorithm in it.
- `names()` lists what `find` knows by name; the museum's pieces are listed by
  `slotmem_model.algorithms.museum.pieces`.

The model's own are found without installed metadata too. The reference is an entry point like
anybody else's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from slotmem_model.automata.client import ARGUMENTS
from slotmem_model.given_files import opened
from slotmem_model.overdue import Overdue, bounded
from slotmem_model.programs.declared import is_program

GROUP = "slotmem.algorithms"
COLLECTIONS = {
    "museum": "slotmem_model.algorithms.museum.pieces:MUSEUM",
    "example": "slotmem_model.examples.catalogue:EXAMPLES",
}
"""Where the classes are that have a question of their own: museum:PIECE, example:NAME."""
_HERE = "slotmem_model.algorithms."
OWN = {
    "httpd": _HERE + "httpd:Httpd",
    "httpd-locked": _HERE + "httpd_locked:HttpdLocked",
    "one-lock": _HERE + "one_lock:OneLock",
    "plain-lock": _HERE + "plain_lock:PlainLock",
    "striped": _HERE + "striped:Striped",
    "cas": _HERE + "cas:Cas",
    "seqlock": _HERE + "seqlock:Seqlock",
    "ticket-lock": _HERE + "ticket_lock:TicketLock",
    "spin-lock": _HERE + "spin_lock:SpinLock",
    "one-store": _HERE + "one_store:OneStore",
}

_IMPORT_S = 30.0
_SHORTEST_S = 1.0

Algorithm = Callable[[Any], Any]
"""A class over an image; see the header of `slotmem_model.algorithms`."""


def find(name: str, budget_s: float | None = None) -> Algorithm:
    """Return the algorithm of a name.

    Importing may take `budget_s` seconds, though never less than one; half a minute unless
    said otherwise.

    Raises:
        ValueError: lists the names that are known; or the module cannot be imported.
    """
    if piece := piece_of(name):
        kept: Algorithm = piece.algorithm
        return kept
    place = {**OWN, **_entries()}.get(name, name)
    module, _, attribute = place.rpartition(":") if ":" in place else (place, "", "")
    is_file = module.endswith(".py")
    if not attribute and not is_file:
        raise ValueError(
            f"there is no algorithm {name!r}; known are {', '.join(names())}, museum:PIECE, example:NAME, "
            "and a class of your own: module:Class, file.py:Class, file.py"
        )
    told = f"the algorithm {name!r}" + (f" is {place}, which" if place != name else "")
    seconds = _IMPORT_S if budget_s is None else max(budget_s, _SHORTEST_S)
    try:
        with _importing_from(Path(module).parent if is_file else Path()), bounded(seconds, tell=_tell):
            imported = _loaded(Path(module)) if is_file else import_module(module)
        found: Algorithm = getattr(imported, attribute) if attribute else _only(imported, name)
    except _Ambiguous as error:
        raise ValueError(str(error)) from error
    except Overdue as overdue:
        raise ValueError(
            f"{told} cannot be imported: {overdue.line} has not come to its end in {overdue.seconds:g} s"
        ) from None
    except (Exception, SystemExit) as error:
        what = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{told} cannot be imported: {what}{_raised_at(error)}") from error
    return found


def collection(prefix: str) -> dict[str, Any]:
    """Return the classes of a collection by name, each with its question."""
    module, _, attribute = COLLECTIONS[prefix].partition(":")
    found: dict[str, Any] = getattr(import_module(module), attribute)
    return found


def piece_of(name: str) -> Any:
    """Return what a name in a collection stands for; None for a name of another kind.

    Raises:
        ValueError: lists what the collection has.
    """
    prefix, _, rest = name.partition(":")
    if prefix not in COLLECTIONS or not rest:
        return None
    kept = collection(prefix)
    if rest not in kept:
        raise ValueError(f"there is no {name!r}; {prefix}: has {', '.join(sorted(kept))}")
    return kept[rest]


def _tell(line: str) -> None:
    print(f"still importing: {line}", file=sys.stderr, flush=True)


def specification(name: str) -> Any:
    """Return the class of a specification: module:Class or file.py:Class; None for the empty name.

    Raises:
        ValueError
    """
    if not name:
        return None
    if not name.rpartition(":")[0]:
        raise ValueError(f"--spec {name}: expected file.py:Class or module:Class")
    found = find(name)
    if not isinstance(found, type):
        raise ValueError(f"--spec {name}: that is {found!r}; expected a class")
    return found


def _raised_at(error: BaseException) -> str:
    """Return where in somebody's module an error was raised, if it was there."""
    frames = [each for each in extract_tb(error.__traceback__) if not each.filename.startswith("<frozen importlib")]
    if isinstance(error, SyntaxError) or frames[-1].filename == __file__:  # it says so itself; it was not found
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"


class _Ambiguous(Exception):
    """A file that does not say which class is meant."""


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let imports find the modules of a folder, as `python file.py` does."""
    path = str(folder.resolve())
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)


def _loaded(file: Path) -> ModuleType:
    """Import a file, once; its module is named by its path, so that it clashes with no other."""
    name = str(file.resolve())
    if name not in sys.modules:
        opened(file).close()  # what is no file would not end
        spec = spec_from_file_location(name, name)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is not a Python file")
        module = sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _only(module: ModuleType, name: str) -> Algorithm:
    """Return the one algorithm of a module; a base class of another there does not count, nor does
    a class beside a program that is none: a specification has methods of the same names.
    """
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__ and _is_algorithm(each)
    ]
    last = [each for each in found if not any(other is not each and issubclass(other, each) for other in found)]
    last = [each for each in last if is_program(each)] or last
    if len(last) != 1:
        has = ", ".join(each.__name__ for each in last) or "none"
        raise _Ambiguous(
            f"{name} must have exactly one algorithm (a class with @operation, or with grab, release, ...), but has {has}; name one: {name}:Class"
        )
    return last[0]


def _is_algorithm(each: type) -> bool:
    return is_program(each) or any(hasattr(each, operation) for operation in ARGUMENTS)


def names() -> tuple[str, ...]:
    """List the algorithms that have a name, sorted."""
    return tuple(sorted({*OWN, *_entries()}))


def _entries() -> dict[str, str]:
    entries: tuple[EntryPoint, ...] = tuple(entry_points(group=GROUP))
    return {entry.name: entry.value for entry in entries}
