"""Show a live segment or a persisted file, and what is wrong with it; change nothing.

NAME is a segment's name, as given to create: relative to the runtime directory, or absolute. FILE
is the path of a persisted file, or of a shared memory object. No lock is taken and nothing is
waited for. Of what is very large, only a part is looked at, and a note says so.

examples:
  slotmem inspect workers                        the segment, else its persisted file
  slotmem inspect workers --slot 3               the bytes of slot 3, a MiB of them at most
  slotmem inspect /dev/shm/ShM.3f0aH5c21         an object, httpd's or ours
  slotmem inspect run/slotmem-shm-w.shm.persist  a persisted file

exit codes: 0 sound, 1 something is wrong with it, 2 usage, or there is no such thing
"""

from __future__ import annotations

import argparse
import json

from slotmem.arguments import RUNTIME_DIR_VARIABLE, checked_generation, runtime_dir_path
from slotmem.exit_codes import HELD, VIOLATED
from slotmem.inspect import report as inspect_report
from slotmem.inspect.finding import GENERATIONS, find
from slotmem.inspect.judgement import Inspection, inspect
from slotmem.inspect.opened import open_bytes
from slotmem.memory.layout import Geometry
from slotmem.status import Mismatch, SlotOutOfRange

SYNONYMS = ("show", "cat", "dump", "info", "status", "stat", "view", "look", "print")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", metavar="NAME|FILE", help="the name of a segment, or the path of a file or object")
    parser.add_argument("--slot", type=int, metavar="N", help="show the bytes of this slot")
    parser.add_argument(
        "--runtime-dir",
        metavar="DIR",
        help=f"where relative names live (default: ${RUNTIME_DIR_VARIABLE}, else a folder of yours)",
    )
    parser.add_argument(
        "--generation",
        type=int,
        metavar="N",
        help=f"how often the server was restarted (default: the first of 0 to {GENERATIONS - 1} that exists)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON report")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    generation = None if arguments.generation is None else checked_generation(arguments.generation)
    found = find(arguments.what, runtime_dir_path(arguments.runtime_dir), generation)
    with open_bytes(found) as data:
        result = inspect(found, data)
        shape = None if arguments.slot is None else _checked_slot(result, arguments.slot)
        if arguments.json:
            document = inspect_report.document(result)
            if shape is not None:
                document["slot"] = inspect_report.slot_document(shape, data, arguments.slot)
            print(json.dumps(document, indent=2))
        else:
            slot = shape and inspect_report.slot_text(result, shape, data, arguments.slot)
            for line in slot or inspect_report.text(result):
                print(line)
    return VIOLATED if result.problems else HELD


def _checked_slot(result: Inspection, item_id: int) -> Geometry:
    """Return the shape of what was inspected, which has this slot.

    Raises:
        Mismatch
        SlotOutOfRange
    """
    shape = result.shape
    if shape is None:
        raise Mismatch(f"{result.found.path} is too damaged to have slots: {'; '.join(result.problems)}")
    if not 0 <= item_id < shape.item_num:
        has = f"0..{shape.item_num - 1}" if shape.item_num else "none"
        raise SlotOutOfRange(f"slot {item_id} is out of range: {result.found.name} has {shape.item_num} slots ({has})")
    return shape
