"""A copy of the packages, in which files are changed and asked, so that the installed ones never
are.

Interface:

- `with Workshop() as workshop:` has the copy in a temporary folder, with a folder of its own for
  shared objects; at the end both are gone, whatever happens.
- `source(target)` is the text of an installed file; `with workshop.changed(target, text):` replaces
  that of the copy for a while.
- `workshop.ask(by, names, ...)` puts questions to the copy as it stands, one after the other, and
  yields an `Answer` to each. Everything happens in child processes, none of which outlives the
  call.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

from slotmem.memory.segment import SHM_FOLDER
from slotmem_conformance.mutation import lines
from slotmem_conformance.mutation.questions import IMPORT
from slotmem_stress.interrupts import die_with_parent, without_interrupts

PACKAGES = ("slotmem", "slotmem_model", "slotmem_stress", "slotmem_conformance")
_OBJECTS_IN = ("slotmem/memory/segment.py", "slotmem_conformance/protocol/places.py")
_PATIENCE_S = 15.0
_LONG_PATIENCE_S = 300.0  # if it is not known how long questions take
_PR_SET_CHILD_SUBREAPER = 36
_LIMITS = {  # so that a mutant that does not stop does no harm
    resource.RLIMIT_FSIZE: 2**29,
    resource.RLIMIT_AS: 2**33,
    resource.RLIMIT_CORE: 0,
}


class Answer(NamedTuple):
    """What came of a question."""

    name: str
    wrong: str
    """What is wrong; empty if nothing was noticed."""
    seconds: float = 0.0
    lines: tuple[tuple[str, int], ...] = ()
    """Which lines ran, if that was to be noted."""


def source(target: str) -> str:
    """Return the text of an installed file."""
    package, _, rest = target.partition("/")
    return (installed(package) / rest).read_text(encoding="utf-8")


def installed(package: str) -> Path:
    """Return the folder of an installed package."""
    return Path(str(sys.modules[package].__file__)).parent


class Workshop:
    """The copy; see the header."""

    def __enter__(self) -> Self:
        with without_interrupts():
            self.folder = Path(tempfile.mkdtemp(prefix="slotmem-mutate-"))
            self._objects = os.path.join(SHM_FOLDER, self.folder.name)
            os.mkdir(self._objects, 0o700)
            for name in PACKAGES:
                shutil.copytree(installed(name), self.folder / name)
            for target in _OBJECTS_IN:
                self._write(target, source(target))
            (self.folder / "sitecustomize.py").write_text(lines.SITE, encoding="utf-8")
            self._others = _children()
            _adopt_orphans(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with without_interrupts():
            self._end_children()
            _adopt_orphans(False)
            shutil.rmtree(self._objects, ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def changed(self, target: str, text: str) -> Iterator[None]:
        """Replace the text of a file for a while."""
        path = self.folder / target
        before, info = path.read_bytes(), path.stat()
        self._write(target, text)
        try:
            yield
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))  # what Python compiled from it is valid again

    def _write(self, target: str, text: str) -> None:
        (self.folder / target).write_text(text.replace(f'"{SHM_FOLDER}"', f'"{self._objects}"'), encoding="utf-8")

    def ask(
        self,
        by: str,
        names: Sequence[str] = (),
        *,
        seconds: Mapping[str, float] | None = None,
        note_lines: bool = False,
    ) -> Iterator[Answer]:
        """Put questions, all if there are no names, until one is answered wrong.

        `seconds` says how long each took with the unchanged code; one that takes far longer hangs.
        """
        work = tempfile.mkdtemp(dir=self.folder)
        ours, theirs = Pipe(duplex=False)
        try:
            if not os.fork():
                _answer(theirs, self.folder, work, (by, names, note_lines))
            theirs.close()
            yield from _heard(ours, seconds or {}, _PATIENCE_S if seconds else _LONG_PATIENCE_S)
        finally:
            ours.close()
            with without_interrupts():
                self._end_children()
                shutil.rmtree(work, ignore_errors=True)
                for left in Path(self._objects).iterdir():
                    if left.is_dir() and not left.is_symlink():  # a case may have worked there
                        shutil.rmtree(left, ignore_errors=True)
                    else:
                        left.unlink()

    def _end_children(self) -> None:
        """End every process that was started here, even those whose parents are gone."""
        while started := _children() - self._others:
            for pid in started:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in started:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _heard(pipe: Connection, seconds: Mapping[str, float], patience_s: float) -> Iterator[Answer]:
    """Yield the answers; the last is the one that is wrong, or that to the last question."""
    name = IMPORT
    while name:
        limit = patience_s + 10 * seconds.get(name, 0.0)
        try:
            answer = Answer(*pipe.recv()) if pipe.poll(limit) else Answer(name, f"no answer in {limit:.0f} s", limit)
            yield answer
            name = "" if answer.wrong else pipe.recv()
        except EOFError:
            yield Answer(name, "its process died")
            return


def _answer(pipe: Connection, folder: Path, work: str, asked: Any) -> NoReturn:
    """Answer in a child, which ends here."""
    began = time.monotonic()
    try:
        _move(folder, work)
        try:
            if asked[-1]:
                import_module("slotmem_conformance.mutation.lines").start(work)
            import_module("slotmem_conformance.mutation.questions").answer(pipe, began, work, *asked)
        except Exception as error:
            pipe.send((IMPORT, f"{type(error).__name__}: {error}"))
    finally:
        os._exit(0)


def _move(folder: Path, work: str) -> None:
    """Make this process, and those that it starts, use nothing but the copy."""
    os.setsid()  # Ctrl-C is for our parent
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nowhere, fd)
    logging.disable()  # files are damaged on purpose
    for limit, most in _LIMITS.items():
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    os.chdir(work)
    tempfile.tempdir = work
    sys.dont_write_bytecode = True
    places = {"PYTHONPATH": folder, "TMPDIR": work, "XDG_STATE_HOME": work, "SLOTMEM_RUNTIME_DIR": work}
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1"} | {name: str(place) for name, place in places.items()}
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]


def _children() -> set[int]:
    """Return the processes whose parent this one is."""
    return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def _adopt_orphans(do: bool) -> None:
    """Become the parent of our children's children when their own parent ends, or stop being so."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(do), 0, 0, 0)
