"""Compile a small C source with slotmem_abi.h to a shared library, once, into the user's cache.

Interface:

- `shared_library(source, *flags)` gives the path of the library; it is compiled unless an earlier
  call had the same source, header, flags and compiler.
- `cache_folder()` is `$XDG_CACHE_HOME/slotmem` or `~/.cache/slotmem`.

A library appears in the folder complete or not at all, so that several processes may compile the
same one at once. Nothing is ever deleted there; the folder may be removed at any time.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from slotmem.status import Unsupported

_HEADER = Path(__file__).with_name("slotmem_abi.h")
_FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{_HEADER.parent}")


def shared_library(source: Path, *flags: str) -> Path:
    """Return the shared library that a C source compiles to.

    The compiler is `$CC`, else `cc`, `gcc` or `clang`, whichever is found first.

    Raises:
        Unsupported: if there is no compiler, or it fails.
    """
    compiler = _compiler()
    command = [*compiler, *_FLAGS, *flags]
    key = hashlib.sha256("\0".join([*command, platform.machine()]).encode())
    for text in (source, _HEADER):
        key.update(text.read_bytes())
    library = cache_folder() / f"{source.stem}-{key.hexdigest()[:16]}.so"
    if not library.exists():
        _compile([*command, str(source)], library)
    return library


def cache_folder() -> Path:
    """Return the folder in which compiled libraries are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "slotmem"


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CC", ""))
    for words in [chosen] if chosen else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(words[0]):
            return words
    wanted = chosen[0] if chosen else "cc"
    raise Unsupported(f"there is no C compiler ({wanted}); install one (Debian: gcc libc6-dev, Fedora: gcc)")


def _compile(command: list[str], library: Path) -> None:
    try:
        library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="compiling-", dir=library.parent) as folder:
            made = Path(folder) / library.name
            environment = {**os.environ, "TMPDIR": folder}  # a compiler that is killed leaves its temporary files
            done = subprocess.run(
                [*command, "-o", str(made)], capture_output=True, text=True, check=False, env=environment
            )
            if done.returncode:
                complaint = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
                raise Unsupported(
                    f"{' '.join(command)} failed: {complaint}; a C library's headers are needed (Debian: libc6-dev)"
                )
            made.replace(library)
    except OSError as error:
        raise Unsupported(
            f"{library} could not be written: {error}; set XDG_CACHE_HOME to a folder of your own"
        ) from None
