"""Hold a provider to the specification, to every interleaving, and to real workers: one verdict.

examples:
  slotmem verify                      the reference implementation, in about a minute
  slotmem verify plain --quick        the provider for threads, in about five seconds
  slotmem verify httpd                Apache's own module; it claims the profiles core and httpd
  slotmem verify httpd --markdown     the same as a table, as this project's APACHE.md has it
  slotmem verify exec:./my-driver     any implementation: the clauses, profile by profile
  slotmem verify --json               the same as a report for machines

exit codes: 0 everything that is claimed held, 1 something did not, 2 usage or environment, 3 not
all was tried
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from slotmem import SlotmemError
from slotmem_conformance.machines.driving import hypothesis_in
from slotmem_conformance.runner import SEQUENTIAL, Unusable
from slotmem_conformance.verify import page as verify_page
from slotmem_conformance.verify import parts as verify_parts
from slotmem_conformance.verify import profiles as verify_profiles
from slotmem_conformance.verify.row import Row, Shares, verdict
from slotmem_model.clauses import PROFILES
from slotmem_model.commands.amounts import amount
from slotmem_model.verdict import Exit, exit_code
from slotmem_stress.canary import Canary
from slotmem_stress.commands.arguments import in_words

SYNONYMS = ("test", "tests", "all", "prove", "selftest")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "provider", nargs="?", default="shm", help="shm, plain, exec:COMMAND, abi:LIBRARY, httpd ... (default: shm)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the work, and no clauses of concurrency or death"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat a run's choices (default: new ones)")
    parser.add_argument("--runtime-dir", default=None, help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--budget-s",
        type=amount,
        default=600.0,
        metavar="S",
        help="take at most this many seconds, divided among the parts (default: 600, far more than a quiet machine needs)",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON report")
    output.add_argument("--markdown", action="store_true", help="print the clauses' verdicts as a table in Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(2**32)
    # Files are damaged on purpose: the library's warnings about them would be noise here.
    logging.getLogger("slotmem").setLevel(logging.ERROR)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="slotmem-verify-", dir=arguments.runtime_dir) as folder,
            Canary(folder) as canary,
            hypothesis_in(folder),
            _undisturbed(canary),
        ):
            rows = list(_rows(arguments, folder, canary, seed))
    except Unusable as error:
        print(f"slotmem verify: {error}", file=sys.stderr)
        return Exit.USAGE
    except (BrokenPipeError, SlotmemError):
        raise
    except OSError as error:
        print(f"slotmem verify: {in_words(error)}", file=sys.stderr)
        return Exit.USAGE
    overall = verdict(rows)
    if arguments.json:
        print(json.dumps(verify_page.to_json(arguments.provider, seed, rows, overall), indent=2))
    elif arguments.markdown:
        print(verify_page.markdown(rows))
    else:
        verify_page.show(arguments.provider, seed, rows, overall)
    return exit_code(overall)


@contextmanager
def _undisturbed(canary: Canary) -> Iterator[None]:
    """Blame the machine, if it explains an error.

    Raises:
        Disturbed: if it does.
    """
    try:
        yield
    except Exception:
        canary.check()
        raise


def _rows(arguments: argparse.Namespace, folder: str, canary: Canary, seed: int) -> Iterator[Row]:
    provider, quick = arguments.provider, arguments.quick
    asked = SEQUENTIAL if quick else tuple(PROFILES)
    own = verify_parts.WEIGHTS if provider in verify_parts.SHARED else {}
    shares = Shares(arguments.budget_s, {name: verify_profiles.WEIGHTS[name] for name in asked} | own)
    verify_profiles.hello(provider, folder, canary)
    for name in asked:  # first, since they say most
        yield verify_profiles.ask(name, provider, (name,), folder, canary, seed=seed, budget_s=shares.take(name))
    if own:
        for row in verify_parts.parts(provider, folder, 10 if quick else 1, seed, shares):
            if not row.held:
                canary.check()
            yield row
