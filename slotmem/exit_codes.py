"""The exit codes of the command `slotmem`: each means one thing, whatever the subcommand.

`slotmem_model.verdict` has the same for the judges, which do not import this package; a test holds
the two together.
"""

from __future__ import annotations

HELD = 0
"""What was asked holds; for `inspect`: the segment is sound."""
VIOLATED = 1
"""What was asked does not hold; for `inspect`: something is wrong with the segment."""
USAGE = 2
"""A wrong argument, something the machine lacks, or a mistake of ours. Nothing was judged."""
UNDECIDED = 3
"""Not everything could be tried, so there is no verdict."""
INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as shells count."""
HANGUP = 129
"""SIGHUP, which a closed terminal sends and which ends a command like Ctrl-C: 128 + SIGHUP."""
TERMINATED = 143
"""SIGTERM, which ends a command like Ctrl-C: 128 + SIGTERM."""
UNREAD = 141
"""The reader of the output has gone away: 128 + SIGPIPE."""
