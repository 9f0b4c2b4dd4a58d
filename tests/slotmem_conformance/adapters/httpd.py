"""The provider `httpd`: Apache's own slotmem module, the unmodified binary that this machine has.

Interface:

- `httpd` or `httpd:shm` is mod_slotmem_shm.so, `httpd:plain` is mod_slotmem_plain.so, both looked
  for where Debian, Fedora, Arch, SUSE and a build from source put them;
  `httpd:/path/to/mod_slotmem_shm.so` is that very file.
- `find_module(argument)` gives the path, `HttpdProvider` is
  `slotmem_conformance.adapters.abi.AbiProvider` over it.
- Whatever is missing is reported in one line that names the package to install.

The binary is loaded into this process by a host in C (`httpd_host.c`), compiled on first use; see
`slotmem_conformance.adapters.compiling`. If the module crashes, so does the process.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any, Self

from slotmem.status import InvalidArgument, Unsupported
from slotmem_conformance.adapters import compiling
from slotmem_conformance.adapters.abi import AbiProvider
from slotmem_conformance.adapters.abi_library import Library

HOST = Path(__file__).with_name("httpd_host.c")
FOLDERS = (
    "/usr/lib/apache2/modules",  # Debian, Ubuntu
    "/usr/lib64/httpd/modules",  # Fedora, RHEL
    "/usr/lib/httpd/modules",  # Arch, 32-bit Fedora
    "/usr/lib64/apache2",  # SUSE
    "/usr/lib/apache2",  # Alpine
    "/usr/local/apache2/modules",  # from source
)
_FLAVOURS = {"": "shm", "shm": "shm", "plain": "plain"}
# The module finds APR by name, as it does in httpd. A build from source may have it beside its
# modules.
_APR = (("libapr-1.so.0", "libapr1", "apr"), ("libaprutil-1.so.0", "libaprutil1", "apr-util"))


class HttpdProvider(AbiProvider):
    """One server lifetime of Apache's module; one at a time in a process.

    `module` is the path of the binary.
    """

    module: Path

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Self:
        """Make the provider of `httpd`, `httpd:plain` or `httpd:/path/to/the/module.so`.

        Raises:
            Unsupported
        """
        module = find_module(argument)
        _load_apr(module.parent.parent / "lib")
        host = Library(compiling.shared_library(HOST), ctypes.RTLD_GLOBAL)
        choose = host.loaded.slotmem_httpd_module
        choose.restype, choose.argtypes = ctypes.c_char_p, (ctypes.c_char_p,)
        if complaint := choose(os.fsencode(module)):
            raise Unsupported(f"{module} cannot be used: {complaint.decode(errors='replace')}")
        provider = cls(host, **options)
        provider.module = module
        return provider


def find_module(argument: str = "") -> Path:
    """Return the path of Apache's binary: of a flavour (shm, the default, or plain), or the file
    that is named.

    Raises:
        Unsupported: if it is not there.
        InvalidArgument: for another flavour.
    """
    if "/" in argument:
        if os.path.isfile(argument):
            return Path(argument).absolute()
        raise Unsupported(f"there is no module {argument}")
    if argument not in _FLAVOURS:
        raise InvalidArgument(f"httpd takes shm, plain or a path with a slash; got {argument!r}")
    name = f"mod_slotmem_{_FLAVOURS[argument]}.so"
    for folder in FOLDERS:
        if os.path.isfile(os.path.join(folder, name)):
            return Path(folder, name)
    raise Unsupported(
        f"Apache's {name} is not installed (Debian: apt-get install apache2-bin, Fedora: dnf install httpd-core); "
        f"if it is elsewhere, write httpd:/path/to/{name}"
    )


@cache
def _load_apr(beside: Path) -> None:
    for library, debian, fedora in _APR:
        for place in (library, str(beside / library)):
            try:
                ctypes.CDLL(place, ctypes.RTLD_GLOBAL)
                break
            except OSError:
                continue
        else:
            raise Unsupported(
                f"{library} is not installed (Debian: apt-get install {debian}, Fedora: dnf install {fedora})"
            )
