"""Judge a recorded history: does some order of its operations explain every result?

examples:
  slotmem judge FOLDER                             what `slotmem stress --keep FOLDER` recorded
  slotmem judge FOLDER/round-1                     one round of it
  slotmem judge history.jsonl                      a history of another tool, as JSON lines
  slotmem judge FOLDER/round-1 --export out.jsonl  convert it to JSON lines, and judge it
  slotmem judge FOLDER/round-1 --html out.html     also draw it on a time line, for a browser

In that order each operation must take effect at one instant between its invocation and its return.
The first line of a JSON-lines file describes the segment, and the state in which the history
begins. Each other line is an operation:

  {"format": "slotmem history 1", "slots": 8, "slot_bytes": 64, "inuse": [], "values": []}
  {"client": 3, "op": "put", "slot": 4, "value": 17, "status": "OK", "invoke_ns": 7, "return_ns": 9}
  {"client": 5, "op": "grab", "invoke_ns": 8}

op: grab, fgrab, release, get, put, num_free_slots; status: OK, NOTFOUND, EINVAL, TORN; without
status and return_ns the operation is pending: it may have taken effect or not. A client is a number
or a name. What happened at the same instant may have happened in any order. A last line that is cut
off is left out, which is said.

exit codes: 0 held (the history is linearizable), 1 violated, 2 usage or environment, 3 undecided
(the budget was used up)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict

from slotmem import InvalidArgument, SlotmemError
from slotmem_model.commands.amounts import amount
from slotmem_model.verdict import HELD, VIOLATED, Exit, exit_code
from slotmem_stress.commands.arguments import check_writable, in_words
from slotmem_stress.history.judging import Judged, judge_path
from slotmem_stress.history.lines import export
from slotmem_stress.history.reading import read
from slotmem_stress.history.records import DESCRIPTION, BadHistory
from slotmem_stress.history.wording import window_lines, window_title
from slotmem_stress.page import html_report

SYNONYMS = ("history", "linearize", "linearizability", "evaluate")

_LARGE_BYTES = 10 * 2**20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", metavar="FILE", help="a folder of records or of such folders, or a file of JSON lines")
    parser.add_argument("--budget-s", type=amount, default=None, metavar="S", help="give up after so many seconds")
    parser.add_argument(
        "--memory-mb", type=amount, default=1024.0, metavar="MB", help="give up at so much memory (default: 1024)"
    )
    parser.add_argument(
        "--any-slot", action="store_true", help="a grab may give any free slot, not only the lowest (GRAB-2)"
    )
    parser.add_argument("--export", default=None, metavar="FILE", help="also write the history as JSON lines")
    parser.add_argument("--html", default=None, metavar="FILE", help="also write a page with a time line")
    parser.add_argument("--json", action="store_true", help="print a JSON report")


def run(arguments: argparse.Namespace) -> int:
    """Judge the history and print the verdict; return the exit code."""
    check_writable(arguments.export)
    check_writable(arguments.html)
    try:
        rounds = _rounds(arguments.path)
        if rounds and (arguments.export or arguments.html):
            raise InvalidArgument(f"{arguments.path} holds {len(rounds)} rounds; name one of them, such as {rounds[0]}")
        if arguments.export is not None:
            lines = list(export(read(arguments.path)))
            with open(arguments.export, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        if _size(arguments.path) > _LARGE_BYTES:
            print(f"judging {arguments.path} ...", file=sys.stderr, flush=True)
        judged = _judge(rounds or [arguments.path], arguments)
        if arguments.html is not None:
            html_report.write(arguments.html, html_report.of_history(judged))
    except BadHistory as error:
        print(f"slotmem judge: {arguments.path} cannot be judged: {error}", file=sys.stderr)
        return Exit.USAGE
    except SlotmemError:
        raise
    except OSError as error:
        print(f"slotmem judge: {in_words(error)}", file=sys.stderr)
        return Exit.USAGE
    if rounds and judged.verdict == HELD:
        judged.path = arguments.path
    print(json.dumps(asdict(judged), indent=2) if arguments.json else _to_text(judged, rounds))
    return exit_code(judged.verdict)


def _rounds(path: str) -> list[str]:
    """Return the histories of a run that was kept, in order; none if the path is no such folder."""
    if not os.path.isdir(path) or os.path.exists(os.path.join(path, DESCRIPTION)):
        return []
    inside = [entry.path for entry in os.scandir(path) if os.path.exists(os.path.join(entry.path, DESCRIPTION))]
    return sorted(inside, key=lambda each: (len(each), each))  # round-2 before round-10


def _judge(paths: list[str], arguments: argparse.Namespace) -> Judged:
    """Judge histories in turn, up to the first violation, and sum them up."""
    total = None
    for path in paths:
        left_s = (
            arguments.budget_s if total is None or arguments.budget_s is None else arguments.budget_s - total.seconds
        )
        left_s = left_s if left_s is None else max(0.0, left_s)
        judged = judge_path(path, left_s, arguments.memory_mb, lowest_first=not arguments.any_slot)
        total = judged if total is None else total + judged
        if judged.verdict == VIOLATED:
            break
    assert total is not None
    return total


def _to_text(judged: Judged, rounds: list[str]) -> str:
    lines = [
        f"{judged.verdict}: {judged.operations:,} operations, {judged.pending} of them pending, "
        f"judged in {judged.seconds:.1f} s"
    ]
    lines += [f"note: {note}" for note in judged.notes]
    if rounds and judged.verdict != HELD:
        lines.append(f"in {judged.path}:")
    if judged.reason:
        lines.append(judged.reason)
    if judged.window:
        lines.append(f"\n{window_title(judged.window, judged.is_whole)}")
        lines += window_lines(judged.window)
    return "\n".join(lines)


def _size(path: str) -> int:
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(entry.stat().st_size for entry in os.scandir(path))
