"""The wheel has the four packages and no more; importing the library is cheap."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_wheel_contents(tmp_path):
    """The wheel has the four packages with their type markers, the commands, and no tests."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
        entry_points = archive.read(metadata).decode()
    tops = {name.split("/")[0] for name in names}
    packages = {"slotmem", "slotmem_model", "slotmem_stress", "slotmem_conformance"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any("/test_" in name for name in names)
    shipped = (
        "PROTOCOL.md",
        "MUTANTS.md",
        "protocol/protocol.schema.json",
        "reports/html_report.css",
        "adapters/slotmem_abi.h",
        "adapters/httpd_host.c",
        "drivers/driver.sh",
        "rig/loops.c",
        "vectors/files/manifest.json",
    )
    assert {f"slotmem_conformance/{name}" for name in shipped} <= set(names)
    for group in ("pytest11", "slotmem.commands", "slotmem.providers", "slotmem.algorithms", "console_scripts"):
        assert f"[{group}]" in entry_points


def test_import_brings_in_nothing_of_others():
    """`import slotmem` imports the standard library and slotmem alone."""
    script = "import sys; import slotmem; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded - set(sys.stdlib_module_names) == {"slotmem", "__main__"} - set(sys.stdlib_module_names)
