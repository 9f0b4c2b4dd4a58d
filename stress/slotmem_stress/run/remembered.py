"""What stress runs remember from one to the next: the last failure, its history, and the soak that is under way.

Interface: `keep_failure` and `last_failure`; `keep_history`; `keep_soak` and `soak`. All lies in `folder()`, in the user's cache:
`$XDG_CACHE_HOME/slotmem`, else `~/.cache/slotmem`. What is not to be read there is as if it were not there.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from slotmem_stress.run.report import RunReport
from slotmem_stress.run.settings import Settings

_FAILURE = "stress-last-failure.json"
_HISTORY = "stress-last-failure"


def folder() -> str:
    """Give the folder; it is made if it is not there. Raises: OSError."""
    path = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "slotmem")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def keep_failure(settings: Settings) -> None:
    """Note what has failed."""
    _write(_FAILURE, settings.to_json())


def last_failure() -> Settings | None:
    """Give what has failed last; None if nothing is known."""
    given = _read(_FAILURE)
    try:
        return None if given is None else Settings.from_json(given)
    except (TypeError, ValueError, KeyError):
        return None


def keep_history(path: str) -> str:
    """Keep the history of the last violation, a folder. Gives its new path."""
    kept = os.path.join(folder(), _HISTORY)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(path, kept)
    return kept


def keep_soak(report: RunReport) -> None:
    """Note how far a soak is."""
    _write(_soak_name(report.settings.provider), report.to_json())


def soak(provider: str) -> RunReport | None:
    """Give how far the soak of a provider is; None if there is none."""
    given = _read(_soak_name(provider))
    try:
        return None if given is None else RunReport(**{**given, "settings": Settings.from_json(given["settings"])})
    except (TypeError, ValueError, KeyError):
        return None


def _soak_name(provider: str) -> str:
    return f"stress-soak-{''.join(letter if letter.isalnum() else '-' for letter in provider)[:100]}.json"


def _write(name: str, given: dict[str, Any]) -> None:
    path = os.path.join(folder(), name)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(given, file)
    os.replace(f"{path}.new", path)


def _read(name: str) -> Any:
    try:
        with open(os.path.join(folder(), name), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
