"""What one stress run remembers for the next: the last failure, its history, and unfinished soaks.

Interface: `keep_failure` and `last_failure`; `keep_history`; `keep_soak` and `soak`. Everything
lies in `folder()`, in the user's cache: `$XDG_CACHE_HOME/slotmem`, else `~/.cache/slotmem`. What
cannot be read there counts as absent.
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
    """Return the folder, creating it if need be.

    Raises:
        OSError: if it cannot be created.
    """
    path = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "slotmem")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def keep_failure(settings: Settings) -> None:
    """Remember the settings of a run that failed."""
    _write(_FAILURE, settings.to_json())


def last_failure() -> Settings | None:
    """Return the settings of the last failure, None if there is none."""
    given = _read(_FAILURE)
    try:
        return None if given is None else Settings.from_json(given)
    except (TypeError, ValueError, KeyError):
        return None


def keep_history(path: str) -> str:
    """Keep a copy of the last violation's history, a folder; return the copy's path."""
    kept = os.path.join(folder(), _HISTORY)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(path, kept)
    return kept


def keep_soak(report: RunReport) -> None:
    """Remember how far a soak has come."""
    _write(_soak_name(report.settings.provider), report.to_json())


def soak(provider: str) -> RunReport | None:
    """Return the report so far of a provider's soak, None if there is none."""
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
