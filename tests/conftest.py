"""What the tests counted (crash points and the like) is printed at the end; forks are allowed;
Ctrl-C is heeded; of families that take minutes a sample runs, and the rest with `-m thorough`.
"""

import logging
import signal
from collections import Counter

import pytest

# A shell lets background jobs ignore SIGINT, and their children inherit that: some tests send it
# and want to see what it does.
signal.signal(signal.SIGINT, signal.default_int_handler)


SAMPLED = {
    "test_a_mistake_is_found_without_options": 4,
    "test_a_wrong_algorithm_is_told_apart": 4,
    "test_a_wrong_function_is_refuted": 4,
    "test_a_wrong_server_is_told_apart": 2,
    "test_an_algorithm_with_a_wrong_interleaving_is_violated": 0,
    "test_deaths_handled_wrongly_are_found": 5,
    "test_every_condition_is_confirmed_over_all_paths": 2,
    "test_every_crash_point_of_the_repair": 4,
    "test_every_sentence_is_true": 4,
    "test_examples_conform": 3,
    "test_interrupted_verify_leaves_nothing": 5,
    "test_it_agrees_where_many_crash": 0,
    "test_nobody_right_is_accused": 0,
    "test_random_lives_find_faults": 3,
    "test_reductions_keep_the_verdict": 2,
    "test_right_designs_are_not_accused": 3,
    "test_right_ones_in_other_languages_are_not_accused": 2,
    "test_spin_agrees": 3,
    "test_spin_agrees_on_the_museum": 12,
    "test_spin_finds_the_same": 2,
    "test_sweep_agrees_with_naive": 2,
    "test_the_reference_makes_every_tour": 5,
    "test_the_right_store_is_not_accused": 4,
    "test_verify_holds": 2,
    "test_verify_names_the_clauses_that_do_not_hold": 0,
    "test_whatever_it_does_it_is_ended": 3,
    "test_wrong_drivers": 6,
    "test_wrong_stores_are_caught": 4,
}
"""Tests that take long together: of each, one in this many always runs (0: none), in the order of
their parameters. The others are `thorough`.
"""


@pytest.fixture(autouse=True)
def warnings_are_heard():
    """Commands silence the library's warnings for the rest of their process, which tests share."""
    yield
    logging.getLogger("slotmem").setLevel(logging.NOTSET)


def pytest_configure(config):
    """Children of these tests are forked from workers that have threads, and do nothing that could
    wait for one.
    """
    config.addinivalue_line("markers", "thorough: one of a family of which a sample always runs")
    config.addinivalue_line("filterwarnings", "ignore:.*use of fork\\(\\) may lead to deadlocks:DeprecationWarning")


def pytest_collection_modifyitems(items):
    """Mark what is not in the sample."""
    seen = Counter()
    for item in items:
        name = getattr(item, "originalname", "")  # a case of the suite, asked by its own plugin, has none
        if name in SAMPLED:
            family = item.nodeid.partition("[")[0]
            if not SAMPLED[name] or seen[family] % SAMPLED[name]:
                item.add_marker("thorough")
            seen[family] += 1


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
