"""The arguments of `slotmem stress`.

Interface: `configure(parser)` adds them, `check(arguments)` refuses what cannot be done before any
work begins, and `to_settings(arguments)` returns the settings of the run.
"""

from __future__ import annotations

import argparse
import os
import secrets

from slotmem import InvalidArgument
from slotmem.arguments import checked_runtime_dir
from slotmem_model.commands.amounts import amount, count
from slotmem_stress.commands.arguments import add_json, check_writable
from slotmem_stress.history.records import MOST_SLOTS
from slotmem_stress.run.settings import MIXABLE, THREADS_ONLY, Plan, Settings
from slotmem_stress.run.worker import MAX_SEATS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    given = Settings()
    parser.add_argument(
        "provider", nargs="?", default=given.provider, help="shm, plain, algorithm:NAME, ... (default: shm)"
    )
    parser.add_argument("--processes", type=count(1), default=given.processes, metavar="N", help="default: 4")
    parser.add_argument("--threads", type=count(1), default=given.threads, metavar="N", help="clients in each process")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=amount, default=given.seconds, metavar="S", help="how long (default: 5)")
    length.add_argument("--operations", type=count(1), default=None, metavar="N", help="about how many")
    length.add_argument(
        "--hours", type=amount, default=None, metavar="H", help="a soak: it can be interrupted and resumed"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted soak")
    parser.add_argument("--slots", type=count(1), default=given.slots, metavar="N", help="default: 8")
    parser.add_argument(
        "--slot-bytes", type=count(8), default=given.slot_bytes, metavar="N", help="a multiple of 8 (default: 64)"
    )
    parser.add_argument(
        "--no-pregrab", action="store_true", help="a segment without PREGRAB: get and put mark the slot in use"
    )
    parser.add_argument(
        "--mix",
        type=_mix,
        default=given.mix,
        metavar="NAME:WEIGHT,...",
        help=f"how often to do what, such as grab:1,put:3 (NAME: {', '.join(MIXABLE)})",
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a run (default: random)")
    parser.add_argument("--last", action="store_true", help="first repeat what failed last time")
    parser.add_argument("--start", choices=["spawn", "fork"], default=given.start, help="how processes are started")
    faults = parser.add_argument_group("faults", "R is how many per second, on average")
    faults.add_argument("--kills", type=amount, default=0.0, metavar="R", help="SIGKILL a worker and start another")
    faults.add_argument(
        "--pauses", type=amount, default=0.0, metavar="R", help="SIGSTOP a worker, and SIGCONT it soon after"
    )
    faults.add_argument(
        "--restarts", type=amount, default=0.0, metavar="R", help="the owner stores and restores the segment"
    )
    faults.add_argument("--attach-storm", action="store_true", help="other processes attach and detach all the time")
    faults.add_argument(
        "--pressure-mb", type=count(1), default=0, metavar="MB", help="another process allocates and frees memory"
    )
    judging = parser.add_argument_group("judging")
    judging.add_argument(
        "--budget-s", type=amount, default=given.budget_s, metavar="S", help="give up a round after so many seconds"
    )
    judging.add_argument(
        "--memory-mb", type=amount, default=given.memory_mb, metavar="MB", help="give up a round at so much memory"
    )
    parser.add_argument("--runtime-dir", default=None, help="where to work (default: a temporary folder)")
    add_json(parser, "text")
    parser.add_argument("--html", default=None, metavar="FILE", help="also write a page with a time line")
    parser.add_argument(
        "--trace",
        default=None,
        metavar="FILE",
        help="also write the violation's window, for `slotmem check --explain`",
    )
    parser.add_argument(
        "--keep", default=None, metavar="FOLDER", help="keep every history in this folder, new or empty"
    )


def to_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the arguments ask for."""
    plan = Plan(arguments.kills, arguments.pauses, arguments.restarts, arguments.attach_storm, arguments.pressure_mb)
    return Settings(
        provider=arguments.provider,
        processes=arguments.processes,
        threads=arguments.threads,
        seconds=arguments.seconds if arguments.operations is None else float("inf"),
        operations=arguments.operations,
        slots=arguments.slots,
        slot_bytes=arguments.slot_bytes,
        pregrab=not arguments.no_pregrab,
        mix=arguments.mix,
        seed=arguments.seed if arguments.seed is not None else secrets.randbelow(2**32),
        start=arguments.start,
        plan=plan,
        budget_s=arguments.budget_s,
        memory_mb=arguments.memory_mb,
    )


def check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be done, before any work begins.

    Raises:
        InvalidArgument: if something cannot be done.
        OSError: if a folder cannot be looked into.
    """
    clients = arguments.processes * arguments.threads
    if arguments.slot_bytes % 8:
        raise InvalidArgument(f"--slot-bytes must be a multiple of 8, the size of a value; got {arguments.slot_bytes}")
    if arguments.slots > MOST_SLOTS:
        raise InvalidArgument(
            f"--slots may be {MOST_SLOTS} at most, as many as a history can have; got {arguments.slots}"
        )
    if clients > MAX_SEATS:
        raise InvalidArgument(f"--processes times --threads may be {MAX_SEATS} clients at most, got {clients}")
    if dict(arguments.mix).get("fgrab") and clients > arguments.slots:
        raise InvalidArgument(
            f"with fgrab in the mix each client needs a slot of its own: {clients} clients need as many slots, "
            f"got {arguments.slots}"
        )
    if arguments.resume and arguments.hours is None:
        raise InvalidArgument("--resume continues a soak; give --hours as well")
    if arguments.provider in THREADS_ONLY and (
        arguments.kills or arguments.pauses or arguments.restarts or arguments.attach_storm
    ):
        raise InvalidArgument(
            f"the clients of {arguments.provider} are threads: leave out kills, pauses, restarts and the attach storm"
        )
    if arguments.provider.startswith("algorithm:") and arguments.restarts:
        raise InvalidArgument("an algorithm alone stores nothing; leave out --restarts")
    if arguments.no_pregrab and arguments.restarts:
        raise InvalidArgument(
            "what is restored is looked at by gets, which mark slots without PREGRAB; leave out --restarts"
        )
    if arguments.runtime_dir is not None:
        arguments.runtime_dir = checked_runtime_dir(arguments.runtime_dir)
    if arguments.keep is not None and os.path.isdir(arguments.keep) and os.listdir(arguments.keep):
        raise InvalidArgument(f"the folder {arguments.keep} is not empty; name a new one or an empty one")
    for path in (arguments.json, arguments.trace, arguments.html):
        check_writable(path)


def _mix(text: str) -> tuple[tuple[str, int], ...]:
    mix: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition(":")
        if name not in MIXABLE or not weight.isdigit():
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME:WEIGHT; NAME is one of {', '.join(MIXABLE)}")
        mix[name] = int(weight)
    if not sum(mix.values()) or max(mix.values()) > 1000:
        raise argparse.ArgumentTypeError(f"weights must be from 0 to 1000 and not all 0, got {text!r}")
    return tuple(mix.items())
