"""The contracts of the specification and of the layout are proved, and a wrong one would not be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import slotmem.memory.layout
import slotmem_model.contracts
import slotmem_model.spec

MODULES = [slotmem.memory.layout, slotmem_model.contracts]


def crosshair(target: str, folder: Path) -> tuple[int, str]:
    """Run CrossHair on a module or file, and give its exit status and what it said."""
    roots = [str(Path(slotmem.memory.layout.__file__).parents[2]), str(Path(slotmem_model.spec.__file__).parents[1])]
    command = [sys.executable, "-m", "crosshair", "check", "--analysis_kind=PEP316", "--report_all"]
    done = subprocess.run(
        [*command, "--per_condition_timeout=60", target],
        capture_output=True,
        text=True,
        timeout=1200,
        cwd=folder,
        env={"PYTHONPATH": ":".join([str(folder), *roots]), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_condition_is_confirmed_over_all_paths(module, tmp_path):
    """CrossHair confirms each `post:` line of the module, and says nothing else."""
    conditions = len(re.findall(r"^\s+post:", Path(module.__file__).read_text(), re.MULTILINE))
    status, said = crosshair(module.__name__, tmp_path)
    lines = said.strip().splitlines()
    assert [line for line in lines if not line.endswith("info: Confirmed over all paths.")] == []
    assert len(lines) == conditions
    assert status == 0


def test_there_are_enough_conditions():
    """At least 25 conditions are stated in all."""
    texts = [Path(module.__file__).read_text() for module in MODULES]
    assert sum(len(re.findall(r"^\s+post:", text, re.MULTILINE)) for text in texts) >= 25


@pytest.mark.parametrize(
    ("module", "right", "wrong"),
    [
        (slotmem.memory.layout, "return max(1, min(MAX_STRIPES,", "return max(0, min(MAX_STRIPES,"),
        (
            slotmem.memory.layout,
            "return inuse_start(item_size, item_num) + item_num",
            "return inuse_start(item_size, item_num)",
        ),
        (slotmem_model.spec, "item_id = state.inuse.index(False)", "item_id = 2 - state.inuse[::-1].index(False)"),
        (slotmem_model.spec, "return state, Result(NOTFOUND)", "return state, Result(SUCCESS)"),
    ],
)
def test_a_wrong_function_is_refuted(module, right, wrong, tmp_path):
    """With one line of the code made wrong, CrossHair gives a counterexample."""
    source = Path(module.__file__).read_text()
    assert right in source
    (tmp_path / "wrong.py").write_text(source.replace(right, wrong))
    target = "wrong"
    if module is slotmem_model.spec:
        contracts = Path(slotmem_model.contracts.__file__).read_text()
        (tmp_path / "contracted.py").write_text(
            contracts.replace("from slotmem_model.spec import", "from wrong import")
        )
        target = "contracted"
    status, said = crosshair(target, tmp_path)
    assert status == 1
    assert "error: false when calling" in said
