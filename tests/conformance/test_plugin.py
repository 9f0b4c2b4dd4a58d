"""The suite under pytest: its options, its cases, and projects that do not use it."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from slotmem_conformance.commands import conform as conform_command


def pytest_run(tmp_path, *arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    if "slotmem_conformance.plugin" not in {entry.name for entry in entry_points(group="pytest11")}:
        command += ["-p", "slotmem_conformance.plugin"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_the_suite_under_pytest(tmp_path):
    """`pytest --pyargs slotmem_conformance --slotmem-provider P` has a test for each case, named by
    its id.
    """
    asked = [
        "--pyargs",
        "slotmem_conformance",
        "--slotmem-provider",
        "plain",
        "--slotmem-select",
        "GRAB,NAME-6",
        "-vv",
        "-rs",
    ]
    done = pytest_run(tmp_path, *asked)
    assert done.returncode == 0, done.stdout
    assert "::GRAB-2/lowest-free-first PASSED" in done.stdout
    assert "::NAME-6/object SKIPPED" in done.stdout
    assert "does not have the capability 'shared'" in done.stdout


def test_a_failure_under_pytest_shows_the_evidence(tmp_path):
    """A case that fails is told with its clause and its requests, without a traceback of
    the suite.
    """
    tests = str(Path(__file__).parents[1])
    script = tmp_path / "driver.py"
    script.write_text(
        f"import json, sys\nsys.path.insert(0, {tests!r})\n"
        "from accused.miniatures import FullIsNotFound\n"
        "wrong = FullIsNotFound(runtime_dir='')\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if request['op'] == 'quit':\n"
        "        break\n"
        "    print(json.dumps(wrong.hello if request['op'] == 'hello' else wrong.request(request)), flush=True)\n"
    )
    provider = f"exec:{sys.executable} {script}"
    done = pytest_run(
        tmp_path, "--pyargs", "slotmem_conformance", "--slotmem-provider", provider, "--slotmem-select", "GRAB-4"
    )
    assert done.returncode == 1
    assert "GRAB-4 asks: grab with every slot in use fails with APR_EINVAL." in done.stdout
    assert '{"op": "grab", "segment": 0}' in done.stdout
    assert "Traceback" not in done.stdout


def test_a_project_beside_it_is_left_alone(tmp_path):
    """Without --slotmem-provider nothing of the suite is collected, though it lies below the folder
    that is.
    """
    package = Path(conform_command.__file__).parents[1]
    done = pytest_run(tmp_path, "--collect-only", str(package))
    assert done.returncode == 5
    assert "no tests" in done.stdout


def test_other_projects_may_have_an_option_of_that_name(tmp_path):
    """A conftest with a --provider of its own works, and nothing of the suite is imported."""
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--provider', default='theirs')\n"
    )
    (tmp_path / "test_theirs.py").write_text(
        "import sys\n"
        "def test_it(request):\n"
        "    assert request.config.getoption('--provider') == 'theirs'\n"
        "    assert not [name for name in sys.modules if name.startswith('slotmem') and not name.endswith(('conformance', 'plugin'))]\n"
    )
    done = pytest_run(tmp_path, "test_theirs.py")
    assert done.returncode == 0, done.stdout
