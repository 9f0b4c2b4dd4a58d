"""The example drivers as PROVIDER strings, compiled where that is needed."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "slotmem_conformance" / "drivers"
COMPILERS = {
    "c": ["cc", "-O2", "-Wall", "-Wextra", "-Werror"],
    "rs": ["rustc", "--edition", "2021", "-O", "-Dwarnings"],
}
RUNTIMES = {"py": sys.executable, "js": "node", "sh": "sh"}
LANGUAGES = (*RUNTIMES, *COMPILERS)


def provider(language, folder):
    """Return the PROVIDER string of a driver, which is compiled into a folder; skip the test if its
    language is not here.
    """
    source = FOLDER / f"driver.{language}"
    tool = RUNTIMES.get(language) or COMPILERS[language][0]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    if language in RUNTIMES:
        return f"exec:{shlex.join([tool, str(source)])}"
    subprocess.run([*COMPILERS[language], "-o", folder / "driver", source], check=True)
    return f"exec:{shlex.quote(str(folder / 'driver'))}"
