"""What the tests counted (crash points and the like) is printed at the end; forks are allowed;
Ctrl-C is heeded.
"""

import signal
from collections import Counter

# A shell lets background jobs ignore SIGINT, and their children inherit that: some tests send it
# and want to see what it does.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Children of these tests are forked from workers that have threads, and do nothing that could
    wait for one.
    """
    config.addinivalue_line("filterwarnings", "ignore:.*use of fork\\(\\) may lead to deadlocks:DeprecationWarning")


def pytest_terminal_summary(terminalreporter):
    """Add up the integers that tests recorded, under their names."""
    totals = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            totals.update({name: value for name, value in report.user_properties if isinstance(value, int)})
    if totals:
        terminalreporter.write_line(
            "counted: " + ", ".join(f"{value} {name}" for name, value in sorted(totals.items()))
        )
