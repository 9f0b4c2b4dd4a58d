"""Providers by name, and the default one behind `slotmem.create` and `slotmem.attach`.

A provider string is NAME or NAME:ARGUMENT. NAME is looked up in the entry-point group
`slotmem.providers`; what is registered there is called as `factory(argument, **options)`.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Literal, overload

from slotmem.instance import SlotInstance
from slotmem.interface import Type
from slotmem.plain import PlainProvider
from slotmem.shm import ShmProvider
from slotmem.status import InvalidArgument, WrongType

GROUP = "slotmem.providers"
# Ours are known without installed metadata: the library also works when it is merely on the path.
_BUILT_IN: dict[str, Any] = {"shm": ShmProvider.from_spec, "plain": PlainProvider.from_spec}

_default: ShmProvider | None = None
_default_lock = threading.Lock()


@overload
def provider(
    spec: Literal["shm"] = "shm",
    *,
    runtime_dir: str | os.PathLike[str] | None = None,
    generation: int = 0,
    **options: Any,
) -> ShmProvider: ...
@overload
def provider(
    spec: Literal["plain"], *, runtime_dir: str | os.PathLike[str] | None = None, generation: int = 0, **options: Any
) -> PlainProvider: ...
@overload
def provider(
    spec: str, *, runtime_dir: str | os.PathLike[str] | None = None, generation: int = 0, **options: Any
) -> Any: ...
def provider(
    spec: str = "shm", *, runtime_dir: str | os.PathLike[str] | None = None, generation: int = 0, **options: Any
) -> Any:
    """Make the provider that a string names: `shm`, `plain`, or one that an installed package adds.

    Args:
        spec: NAME or NAME:ARGUMENT.
        runtime_dir, generation, options: handed to the provider; see `slotmem.shm.ShmProvider`.

    Raises:
        InvalidArgument: for an unknown name, or an option that the provider does not take.
    """
    if not isinstance(spec, str):
        raise WrongType(f"a provider is named by a string such as 'shm', got {spec!r}")
    name, _, argument = spec.partition(":")
    factory = _BUILT_IN.get(name)
    if factory is None:
        from importlib.metadata import entry_points  # slow to import, and most programs never need it

        found = {entry.name: entry for entry in entry_points(group=GROUP)}
        if name not in found:
            known = ", ".join(sorted(found.keys() | _BUILT_IN.keys()))
            raise InvalidArgument(f"there is no provider {name!r}; known: {known}")
        factory = found[name].load()
    try:
        return factory(argument, runtime_dir=runtime_dir, generation=generation, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise InvalidArgument(f"the provider {name!r} does not take this option: {error}") from None
        raise


def create(name: str | None, item_size: int, item_num: int, type: Type = Type(0)) -> SlotInstance:
    """Create a segment with the default provider; see `slotmem.interface.Provider.create`."""
    return default_provider().create(name, item_size, item_num, type)


def attach(name: str) -> SlotInstance:
    """Attach to a segment with the default provider; see `slotmem.interface.Provider.attach`."""
    return default_provider().attach(name)


def default_provider() -> ShmProvider:
    """Return this process's default provider, `shm` on the default runtime directory; made at the
    first use.

    It is closed, and so stores what is persistent, when the interpreter ends.
    """
    global _default
    with _default_lock:
        if _default is None or getattr(_default, "_closed", False):
            _default = ShmProvider()
        return _default


def _after_fork() -> None:
    """Replace the lock: a thread that held it does not exist in the child."""
    global _default_lock
    _default_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
