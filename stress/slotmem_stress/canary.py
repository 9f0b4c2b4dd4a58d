"""A canary: it tells what was done from outside apart from what an implementation did.

A run puts a file of its own into its runtime directory, and an object into the shared memory
folder, with a name like those of segments. Nobody has any business with them. Whatever tidies up,
fills or forbids there meets the canary too, and then nobody is accused of the consequences.

Interface:

- `with Canary(runtime_dir) as canary:` puts both in place. `canary.refused` says why the object
  could not be made: there may be implementations that need no shared memory.
- `canary.watch(path)` also keeps an eye on an object of the implementation's, if it is there, and
  `watch(None)` on none any more.
- `canary.check()` raises `Disturbed` if the machine explains a failure: call it before accusing
  anybody, while whatever failed is still open.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from contextlib import ExitStack, suppress
from typing import Self

from slotmem.environment import Disturbed, explains
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path

ROOM_BYTES = 4 * 2**20
"""How much must fit into each folder, and into this process: more than any case of the suite, or
run of usual size, needs.
"""
_DESCRIPTORS = 16


class Canary:
    """See the header."""

    def __init__(self, runtime_dir: str) -> None:
        """Raises: Disturbed: nothing can be written to the runtime directory."""
        names = resolve("canary", runtime_dir, 0)
        assert names is not None
        self.refused = ""
        self._files = [os.path.join(runtime_dir, "canary")]
        self._watched: tuple[str, tuple[int, int]] | None = None
        try:
            _make(self._files[0])
        except OSError as error:
            raise Disturbed(_told(error, self._files[0])) from error
        try:
            _make(object_path(names))
            self._files.append(object_path(names))
        except OSError as error:
            self.refused = _told(error, object_path(names))

    def watch(self, path: str | None) -> None:
        """Keep an eye on an object, in place of the last."""
        self._watched = None
        if path is not None:
            with suppress(FileNotFoundError):
                self._watched = path, _identity(path)

    def check(self) -> None:
        """Look whether all is as it should be.

        Raises:
            Disturbed: it is not; the message says what the machine did.
        """
        for path in self._files:
            if not os.path.lexists(path):
                raise Disturbed(
                    f"something else on this machine removes files: {path}, of which only this run knows, is gone; "
                    "keep it out of that folder and try again"
                )
        for path in self._files:
            try:
                _try_out(os.path.dirname(path))
            except OSError as error:
                raise Disturbed(_told(error, os.path.dirname(path))) from error
        self._look_at_watched()

    def _look_at_watched(self) -> None:
        if self._watched is None:
            return
        path, known = self._watched
        try:
            if _identity(path) == known:
                return
            what = "was replaced or resized"
        except FileNotFoundError:
            what = "is gone"
        raise Disturbed(
            f"the object {path} of the segment {what}, and nobody saw who did it; if nothing else on this machine "
            "did, the implementation did, which `slotmem conform --select CREATE,ATTACH,RESTART` would show"
        )

    def close(self) -> None:
        """Take the canary away. Idempotent."""
        for path in self._files:
            with suppress(OSError):
                os.unlink(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _identity(path: str) -> tuple[int, int]:
    info = os.lstat(path)
    return info.st_ino, info.st_size


def _try_out(folder: str) -> None:
    """Take what a small segment, a stored file and a few open ones need, and give it back.

    Raises:
        OSError: it cannot be had.
    """
    with ExitStack() as opened:
        for _ in range(_DESCRIPTORS):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        file = opened.enter_context(tempfile.TemporaryFile(dir=folder))
        os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
        opened.enter_context(mmap.mmap(file.fileno(), ROOM_BYTES))


def _told(error: OSError, place: str) -> str:
    """Say what the machine refused, and where."""
    said = explains(OSError(error.errno, error.strerror)) or error.strerror
    return f"{place} cannot be used: {said}"
