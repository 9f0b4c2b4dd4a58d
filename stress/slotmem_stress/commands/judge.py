"""Judge a recorded history: does some order of its operations explain every result?

examples:
  slotmem judge FOLDER                        a round that `slotmem stress --keep` recorded
  slotmem judge history.jsonl                 a history of another tool, as JSON lines
  slotmem judge FOLDER --export out.jsonl     convert it to JSON lines, and judge it
  slotmem judge FOLDER --html out.html        also draw it on a time line, for a browser

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

from slotmem_model.verdict import Exit, exit_code
from slotmem_stress.commands.arguments import amount, check_writable, in_words
from slotmem_stress.history.judging import Judged, judge_path
from slotmem_stress.history.lines import export
from slotmem_stress.history.reading import read
from slotmem_stress.history.records import BadHistory
from slotmem_stress.history.wording import window_lines, window_title
from slotmem_stress.page import html_report

_LARGE_BYTES = 10 * 2**20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", metavar="FILE", help="a folder of records, or a file of JSON lines")
    parser.add_argument("--budget-s", type=amount, default=None, metavar="S", help="give up after so many seconds")
    parser.add_argument(
        "--memory-mb", type=amount, default=1024.0, metavar="MB", help="give up at so much memory (default: 1024)"
    )
    parser.add_argument("--export", default=None, metavar="FILE", help="also write the history as JSON lines")
    parser.add_argument("--html", default=None, metavar="FILE", help="also write a page with a time line")
    parser.add_argument("--json", action="store_true", help="print a JSON report")


def run(arguments: argparse.Namespace) -> int:
    """Judge the history and print the verdict; return the exit code."""
    check_writable(arguments.export)
    check_writable(arguments.html)
    try:
        if arguments.export is not None:
            lines = list(export(read(arguments.path)))
            with open(arguments.export, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        if _size(arguments.path) > _LARGE_BYTES:
            print(f"judging {arguments.path} ...", file=sys.stderr, flush=True)
        judged = judge_path(arguments.path, arguments.budget_s, arguments.memory_mb)
        if arguments.html is not None:
            html_report.write(arguments.html, html_report.of_history(judged))
    except BadHistory as error:
        print(f"slotmem judge: {arguments.path} cannot be judged: {error}", file=sys.stderr)
        return Exit.USAGE
    except OSError as error:
        print(f"slotmem judge: {in_words(error)}", file=sys.stderr)
        return Exit.USAGE
    print(json.dumps(asdict(judged), indent=2) if arguments.json else _to_text(judged))
    return exit_code(judged.verdict)


def _to_text(judged: Judged) -> str:
    lines = [
        f"{judged.verdict}: {judged.operations:,} operations, {judged.pending} of them pending, "
        f"judged in {judged.seconds:.1f} s"
    ]
    lines += [f"note: {note}" for note in judged.notes]
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
