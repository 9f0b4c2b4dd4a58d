"""Trying mutants: each is asked only what runs the lines in question, the quickest questions first.

Interface:

- `record(workshop, by)` asks everything of the unchanged code: a `Recording` of what ran when;
  `recorded` takes it from a file, if there is one.
- `try_mutant(workshop, mutant, recording)` gives the `Trial` of one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from slotmem_conformance.mutation.mutants import Mutant
from slotmem_conformance.mutation.questions import IMPORT
from slotmem_conformance.mutation.workshop import PACKAGES, Workshop, installed, source
from slotmem_conformance.runner import Unusable
from slotmem_model.given_files import read_text

KILLED, SURVIVED, NOT_ASKED = "killed", "survived", "not asked"
Tell = Callable[[str], None]


class Trial(NamedTuple):
    """What became of a mutant."""

    mutant: str
    """Its id."""
    by: str
    """Who was asked."""
    outcome: str
    noticed_by: str
    """The question that was answered wrong; empty if it survived."""
    finding: str
    """What was wrong; of a survivor, how many questions it was asked."""
    reason: str = ""
    """Why it survives, if that is known."""


@dataclass
class Recording:
    """How long each question takes with the unchanged code, and which lines it runs."""

    by: str
    digest: str
    """Of the sources that it is true of."""
    names: list[str]
    """What was asked; everything, if nothing is named."""
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """By question and file."""
    kills: dict[str, int] = field(default_factory=dict)
    """How many mutants each question has noticed so far."""

    def asked(self, mutant: Mutant) -> list[str]:
        """Return the questions that run what is changed; those that are likely to notice it soon
        come first.
        """

        def runs(name: str) -> bool:
            return any(line in mutant.lines for line in self.lines[name].get(mutant.path, ()))

        names = [name for name in self.seconds if name != IMPORT and (runs(IMPORT) or runs(name))]
        return sorted(names, key=lambda name: (self.seconds[name] + 0.001) / (1 + self.kills.get(name, 0)))


def recorded(workshop: Workshop, by: str, names: Sequence[str], path: Path | None, tell: Tell) -> Recording:
    """Return the recording that a file holds, if it is of these sources and questions; if not, make
    one and keep it there.

    Raises:
        Unusable
        OSError
    """
    if path is not None and path.exists():
        with suppress(ValueError, TypeError):
            found = Recording(**json.loads(read_text(path)))
            if (found.by, found.digest, found.names) == (by, _digest(), list(names)):
                return found
    found = record(workshop, by, names, tell)
    if path is not None:
        path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def record(workshop: Workshop, by: str, names: Sequence[str] = (), tell: Tell = lambda _: None) -> Recording:
    """Ask everything, or what is named, of the unchanged code.

    Raises:
        Unusable: if something is wrong with it already.
    """
    found = Recording(by, _digest(), list(names))
    for answer in workshop.ask(by, names, note_lines=True):
        if answer.wrong:
            raise Unusable(f"the unchanged code fails {answer.name} here: {answer.wrong}; fix that first")
        tell(f"what runs when: {answer.name}")
        found.seconds[answer.name] = answer.seconds
        by_file = found.lines.setdefault(answer.name, {})
        for target, line in answer.lines:
            by_file.setdefault(target, []).append(line)
    return found


def try_mutant(workshop: Workshop, mutant: Mutant, recording: Recording) -> Trial:
    """Ask a mutant until something is wrong with it; one whose lines no question runs is not
    asked.
    """
    names = recording.asked(mutant)
    if names:
        with workshop.changed(mutant.path, mutant.applied(source(mutant.path))):
            for answer in workshop.ask(recording.by, names, seconds=recording.seconds):
                if answer.wrong:
                    recording.kills[answer.name] = recording.kills.get(answer.name, 0) + 1
                    return Trial(mutant.id, recording.by, KILLED, answer.name, answer.wrong)
    asked = f"asked {len(names)} of {len(recording.seconds) - 1} questions"
    return Trial(mutant.id, recording.by, SURVIVED if names else NOT_ASKED, "", asked)


def _digest() -> str:
    sources = sorted(path for name in PACKAGES for path in installed(name).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
