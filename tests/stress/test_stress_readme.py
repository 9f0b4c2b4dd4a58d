"""stress/README.md and stress/BENCHMARK.md: the commands shown do what stands beside them."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from slotmem import command
from slotmem_stress.bench import measure
from slotmem_stress.bench.rivals import SETUPS
from slotmem_stress.commands import bench as bench_command
from tools import pages

STRESS = Path(__file__).parents[2] / "stress"
README = (STRESS / "README.md").read_text(encoding="utf-8")
BENCHMARK = (STRESS / "BENCHMARK.md").read_text(encoding="utf-8")
ATTEMPTS = 40  # how often a command may be run until it has happened

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


@pytest.fixture
def slotmem(tmp_path, monkeypatch):
    """The command `slotmem` as a function of a line, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "history.jsonl").write_text(pages.fenced(README, "json")[0])
    return lambda line: command.main(shlex.split(line)[1:])


def short(line):
    """Return the command shown, and its exit code, made short where it takes long.

    What is to be found ends its run, so there the time is only a bound for a busy machine.
    """
    line, _, told = line.partition("#")
    code = re.match(r" exit code (\d)", told)
    line = re.sub(r"--seconds \d+", "--seconds 0.5", line)
    line = line.replace("--hours 8 --kills 5 --resume", "--hours 0.0003 --resume").replace(
        "--hours 8", "--hours 0.0001"
    )
    if line.startswith("slotmem stress algorithm:httpd"):
        line += " --seconds 600"
    elif line.startswith("slotmem bench"):
        line += " --quick --seconds 0.1"
    return line, int(code[1]) if code else 0


@pytest.mark.parametrize("block", pages.fenced(README, "sh"), ids=lambda block: block.split("#")[0].strip())
def test_commands(slotmem, capsys, block):
    """Each command ends with the exit code that stands beside it.

    A window may be too large for the checker, so all is done again until it is not.
    """
    commands = [short(line) for line in block.splitlines()]
    for _ in range(ATTEMPTS if "--explain" in block else 1):
        codes = [slotmem(line) for line, _ in commands]
        if codes == [code for _, code in commands]:
            break
    assert codes == [code for _, code in commands], capsys.readouterr()


def test_the_history_shown_is_judged_as_shown(slotmem, capsys):
    """What `slotmem judge` prints of it stands in the page, but for the seconds."""
    (console,) = pages.fenced(README, "console")
    line, _, expected = console.removeprefix("$ ").partition("\n")
    assert slotmem(line) == 1
    timeless = [re.sub(r"in \d+\.\d s", "in 0.0 s", text) for text in (capsys.readouterr().out, expected)]
    assert timeless[0] == timeless[1]


def test_commands_of_the_benchmark(slotmem, capsys):
    """Each of them measures."""
    for line in pages.fenced(BENCHMARK, "sh")[0].splitlines():
        assert slotmem(short(line)[0]) == 0, capsys.readouterr()
    assert json.loads(Path("bench.json").read_text())["results"]


def test_the_benchmarks_table_has_the_form_that_is_printed():
    """Its heading, rows and columns are those of today's command; only the figures are the
    machine's.
    """
    report = measure.BenchReport(1.0, 5, {}, load=0.0)
    report.rates = {(workload, rival): [1.0] for workload in measure.WORKLOADS for rival in SETUPS}
    table = re.search(r"bench: begin -->\n\n```\n(.*?)\n\nslotmem ", BENCHMARK, re.S)[1]
    shown, printed = (
        re.sub(r"[\d,]+ \([\d.]+\)", "N", text).partition("\n\nslotmem ")[0].split()
        for text in (table, bench_command.to_text(report))
    )
    assert shown == printed
