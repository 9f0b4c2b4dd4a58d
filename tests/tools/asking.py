"""`slotmem conform` as tests ask it: a line of arguments, or one program."""

import argparse

from slotmem_conformance import runner
from slotmem_conformance.cases.case import program
from slotmem_conformance.commands import conform as conform_command


def conform(*arguments):
    """Run the command with a fixed seed; return its exit code."""
    parser = argparse.ArgumentParser()
    conform_command.configure(parser)
    return conform_command.run(parser.parse_args([*arguments, "--seed", "1"]))


def outcomes_of(text, opener):
    """Return what becomes of a case that is this program."""
    return runner.run_case(program("GRAB-1/tried", text), opener)
