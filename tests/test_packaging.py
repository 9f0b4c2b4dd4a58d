"""Both distributions have what they must have, and nothing else; importing the library is cheap."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("slotmem", "slotmem_model", "slotmem_stress", "slotmem_conformance")
FOUND_IN = {"slotmem_model": "model/", "slotmem_stress": "stress/", "slotmem_conformance": "tests/"}
EXPECTED = re.compile(
    r"""
    (slotmem|slotmem_model|slotmem_stress|slotmem_conformance)/
        ( py\.typed | [A-Z]+\.md | ([a-z]\w*/)* ( __init__ | __main__ | [a-z]\w* )\.py | ([a-z]\w*/)+ [a-z]+\.schema\.json )
    | (slotmem_stress/page|slotmem_model/stage)/[a-z]+\.(js|css|html)
    | slotmem_conformance/
        ( adapters/\w+\.[ch] | rig/loops\.c | drivers/driver\.(c|js|rs|sh) | reports/\w+\.css
        | mutation/survivors\.toml | vectors/files/([A-Z]+-\d+|manifest)\.json )
    """,
    re.VERBOSE,
)
"""What each package may ship, by folder and suffix."""
METADATA = re.compile(r"slotmem-[\w.]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)")
SOURCES = re.compile(
    r"""
    README\.md | CHANGELOG\.md | LICENSE | PKG-INFO | pyproject\.toml | \.gitignore
    | (model|stress)/[A-Z]+\.md | model/race\.svg
    | tests/ ( conftest | test_\w+ | (library|model|stress|conformance|accused|tools)/\w+ )\.py | tests/tools/abi_slots\.c
    """,
    re.VERBOSE,
)
"""What the source distribution has besides the packages."""


def build(source, target):
    """Build both distributions; return the names of the files in each, and the wheel's metadata."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,), (archive,) = target.glob("*.whl"), target.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(archive) as opened:
        sources = [each.name.partition("/")[2] for each in opened.getmembers() if not each.isdir()]
    return files, sources


def unexpected(names, *patterns):
    """Return the names that match none of the patterns."""
    return [name for name in names if not any(pattern.fullmatch(name) for pattern in patterns)]


def packaged(name):
    """Return what the wheel calls a file of the source distribution."""
    return next(
        (name.removeprefix(folder) for package, folder in FOUND_IN.items() if f"{folder}{package}/" in name), name
    )


def test_both_have_what_they_must_have(tmp_path):
    """The packages with type markers, data and commands, and no file that is not expected."""
    files, sources = build(ROOT, tmp_path)
    assert unexpected(files, EXPECTED, METADATA) == []
    assert unexpected(map(packaged, sources), EXPECTED, SOURCES) == []
    present = {
        packaged(path.relative_to(ROOT).as_posix())
        for folder in ("slotmem", *(f"{folder}{package}" for package, folder in FOUND_IN.items()))
        for path in (ROOT / folder).rglob("*")
    }
    assert set(filter(EXPECTED.fullmatch, present)) <= files.keys()
    assert {f"{package}/py.typed" for package in PACKAGES} <= files.keys()
    (entry_points,) = (files[name].decode() for name in files if name.endswith("/entry_points.txt"))
    for group in ("pytest11", "slotmem.commands", "slotmem.providers", "slotmem.algorithms", "console_scripts"):
        assert f"[{group}]" in entry_points


LEFTOVERS = (
    "slotmem/slots.py.orig",
    "slotmem/slots.py~",
    "slotmem/inspect/notes.txt",
    "model/slotmem_model/checker/core",
    "stress/slotmem_stress/.hypothesis/unicode.json",
    "stress/slotmem_stress/run/report.json",
    "tests/slotmem_conformance/rig/loops.so",
    "tests/slotmem_conformance/drivers/driver",
    "tests/model/failed.json",
)


@pytest.mark.parametrize("keep_ignored", [True, False], ids=["with .gitignore", "without .gitignore"])
def test_leftovers_are_found(tmp_path, keep_ignored):
    """Each leftover of an editor, a compiler or a test is named, unless .gitignore keeps it out."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    if keep_ignored:
        shutil.copy(ROOT / ".gitignore", copy)
    for name in LEFTOVERS:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("left here")
    files, sources = build(copy, tmp_path / "dist")
    kept_out = {LEFTOVERS[0], LEFTOVERS[1], LEFTOVERS[4]} if keep_ignored else set()
    found = unexpected(map(packaged, sources), EXPECTED, SOURCES)
    assert {*found} == {packaged(name) for name in LEFTOVERS if name not in kept_out}
    assert {*unexpected(files, EXPECTED, METADATA)} == {*found} - {"tests/model/failed.json"}


def test_import_brings_in_nothing_of_others():
    """`import slotmem` imports the standard library and slotmem alone."""
    script = "import sys; import slotmem; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded - set(sys.stdlib_module_names) == {"slotmem", "__main__"} - set(sys.stdlib_module_names)
