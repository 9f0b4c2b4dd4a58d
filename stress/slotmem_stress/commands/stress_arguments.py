"""The arguments of `slotmem stress`.

Interface: `configure(parser)` adds them, `check(arguments)` refuses what cannot be done before anything is begun, and
`to_settings(arguments)` gives what is asked for. `amount` and `in_words` are for other commands too.
"""

from __future__ import annotations

import argparse
import os
import secrets
from typing import Any

from slotmem import InvalidArgument
from slotmem.arguments import checked_runtime_dir
from slotmem_stress.run.settings import MIXABLE, THREADS_ONLY, Plan, Settings
from slotmem_stress.run.worker import MAX_SEATS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    given = Settings()
    parser.add_argument(
        "provider", nargs="?", default=given.provider, help="shm, plain, algorithm:NAME, ... (default: shm)"
    )
    parser.add_argument("--processes", type=_number(1), default=given.processes, metavar="N")
    parser.add_argument("--threads", type=_number(1), default=given.threads, metavar="N", help="in each process")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=amount, default=given.seconds, metavar="S", help="how long (default: 5)")
    length.add_argument("--operations", type=_number(1), default=None, metavar="N", help="how many, about")
    length.add_argument(
        "--hours", type=amount, default=None, metavar="H", help="a soak, which can be interrupted and resumed"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the soak that was interrupted")
    parser.add_argument("--slots", type=_number(1), default=given.slots, metavar="N")
    parser.add_argument("--slot-bytes", type=_number(8), default=given.slot_bytes, metavar="N", help="a multiple of 8")
    parser.add_argument(
        "--mix", type=_mix, default=given.mix, help=f"weights, e.g. grab:1,put:3 ({', '.join(MIXABLE)})"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat a run's choices (default: new ones)")
    parser.add_argument("--last", action="store_true", help="first do again what failed last time")
    parser.add_argument("--start", choices=["spawn", "fork"], default=given.start, help="how processes start")
    faults = parser.add_argument_group("faults", "so many a second, on average")
    faults.add_argument(
        "--kills", type=amount, default=0.0, metavar="R", help="SIGKILL a worker; a new one takes its place"
    )
    faults.add_argument(
        "--pauses", type=amount, default=0.0, metavar="R", help="SIGSTOP a worker, SIGCONT a moment later"
    )
    faults.add_argument("--restarts", type=amount, default=0.0, metavar="R", help="the owner stores, and restores")
    faults.add_argument("--attach-storm", action="store_true", help="others attach and let go all the time")
    faults.add_argument("--pressure-mb", type=_number(1), default=0, metavar="MB", help="take and give back memory")
    judging = parser.add_argument_group("judging")
    judging.add_argument(
        "--budget-s", type=amount, default=given.budget_s, metavar="S", help="for one segment of the run"
    )
    judging.add_argument("--memory-mb", type=amount, default=given.memory_mb, metavar="MB", help="the same")
    parser.add_argument("--runtime-dir", default=None, help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        default=None,
        metavar="FILE",
        help="a report for machines, to FILE or instead of the page",
    )
    parser.add_argument("--html", default=None, metavar="FILE", help="write a page with a time line, for a browser")
    parser.add_argument(
        "--trace",
        default=None,
        metavar="FILE",
        help="write the violation's window as a trace, for `slotmem check --explain`",
    )
    parser.add_argument(
        "--keep", default=None, metavar="FOLDER", help="keep every history there; the folder must be new or empty"
    )


def to_settings(arguments: argparse.Namespace) -> Settings:
    """Give what the arguments ask for."""
    plan = Plan(arguments.kills, arguments.pauses, arguments.restarts, arguments.attach_storm, arguments.pressure_mb)
    return Settings(
        provider=arguments.provider,
        processes=arguments.processes,
        threads=arguments.threads,
        seconds=arguments.seconds if arguments.operations is None else float("inf"),
        operations=arguments.operations,
        slots=arguments.slots,
        slot_bytes=arguments.slot_bytes,
        mix=arguments.mix,
        seed=arguments.seed if arguments.seed is not None else secrets.randbelow(2**32),
        start=arguments.start,
        plan=plan,
        budget_s=arguments.budget_s,
        memory_mb=arguments.memory_mb,
    )


def check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be done, before anything is begun. Raises: InvalidArgument; OSError."""
    if arguments.slot_bytes % 8:
        raise InvalidArgument(f"--slot-bytes must be a multiple of 8, got {arguments.slot_bytes}: values have 8 bytes")
    if arguments.processes * arguments.threads > MAX_SEATS:
        raise InvalidArgument(f"there may be {MAX_SEATS} clients, got {arguments.processes * arguments.threads}")
    if dict(arguments.mix).get("fgrab") and arguments.processes * arguments.threads > arguments.slots:
        raise InvalidArgument(
            f"fgrab takes slots of a client's own; {arguments.processes * arguments.threads} clients need as many slots, "
            f"got {arguments.slots}"
        )
    if arguments.resume and arguments.hours is None:
        raise InvalidArgument("--resume goes on with a soak; say --hours too")
    if arguments.provider in THREADS_ONLY and (
        arguments.kills or arguments.pauses or arguments.restarts or arguments.attach_storm
    ):
        raise InvalidArgument(
            f"{arguments.provider} has threads only: they cannot be killed, paused, restarted or joined"
        )
    if arguments.provider.startswith("algorithm:") and arguments.restarts:
        raise InvalidArgument("an algorithm alone stores nothing, so that there are no restarts; leave them out")
    if arguments.runtime_dir is not None:
        arguments.runtime_dir = checked_runtime_dir(arguments.runtime_dir)
    if arguments.keep is not None and os.path.isdir(arguments.keep) and os.listdir(arguments.keep):
        raise InvalidArgument(f"the folder {arguments.keep} is not empty; name a new one")
    for path in (arguments.json, arguments.trace, arguments.html):
        if path not in (None, "-"):
            _check_writable(path)


def _check_writable(path: str) -> None:
    """Refuse a file that cannot be written. Raises: InvalidArgument."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InvalidArgument(f"{path} cannot be written: there is no such folder")
    if os.path.isdir(path):
        raise InvalidArgument(f"{path} cannot be written: it is a folder")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise InvalidArgument(f"{path} cannot be written: permission denied")


def _mix(text: str) -> tuple[tuple[str, int], ...]:
    mix: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition(":")
        if name not in MIXABLE or not weight.isdigit():
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME:WEIGHT with a name of {', '.join(MIXABLE)}")
        mix[name] = int(weight)
    if not sum(mix.values()) or max(mix.values()) > 1000:
        raise argparse.ArgumentTypeError(f"weights are from 0 to 1000, and not all 0; got {text!r}")
    return tuple(mix.items())


def _number(least: int) -> Any:
    def number(text: str) -> int:
        if not text.isdigit() or not least <= int(text) < 2**31:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} on")
        return int(text)

    return number


def in_words(error: OSError) -> str:
    """Say what the system refused: the file, and why."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def amount(text: str) -> float:
    """Read a number of seconds, of megabytes, or of faults a second. Raises: ArgumentTypeError."""
    try:
        read = float(text)
    except ValueError:
        read = -1.0
    if not 0 <= read < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to a million")
    return read
