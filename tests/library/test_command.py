"""The command `slotmem`: it finds subcommands, says what is missing, and ends cleanly whatever
happens.
"""

import gc
import os
import select
import shlex
import signal
import subprocess
import sys
import time
import types
from contextlib import suppress
from pathlib import Path

import pytest

import slotmem
from slotmem import command, exit_codes
from slotmem.memory import control
from slotmem.memory.segment import SHM_FOLDER
from slotmem_model import verdict
from slotmem_stress.interrupts import heeded, without_interrupts

ROOT = Path(__file__).parents[2]
BOUND_S = 600  # a bound for what ends much sooner, on a busy machine too
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "model", "stress", "tests")),
}

# As `python -m slotmem verify` where the package is installed. Background jobs of a shell ignore
# Ctrl-C; this one does not.
VERIFY = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from slotmem import command
command._BUILT_IN["verify"] = "slotmem_conformance.commands.verify"
sys.exit(command.main(["verify", *sys.argv[1:]]))
"""


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "slotmem", *arguments], env=ENVIRONMENT, capture_output=True, text=True, **options
    )


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Make a module a subcommand, as an installed package would; gives the function that
    calls it.
    """
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(source, *arguments, requires=()):
        (tmp_path / "plugged.py").write_text(source)
        sys.modules.pop("plugged", None)
        monkeypatch.setattr(command, "_find", lambda: {"plugged": command._Command("plugged", "their-tools", requires)})
        return command.main(["plugged", *arguments])

    yield call
    sys.modules.pop("plugged", None)


def subcommand(body, head=""):
    return f'"""Do it."""\n{head}\ndef configure(parser): pass\ndef run(arguments):\n    {body}\n'


# -- finding ---------------------------------------------------------------------------------------


def test_help_lists_the_commands():
    """--help gives every command its line, and imports none of them."""
    done = run("--help")
    assert done.returncode == 0
    assert (
        "\n  inspect  Show a live segment or a persisted file, and what is wrong with it; change nothing.\n"
        in done.stdout
    )


def test_help_imports_nothing_heavy():
    """The help lines of commands that need other packages are read, not imported."""
    script = (
        "import sys; from slotmem import command\n"
        "command._BUILT_IN['verify'] = 'slotmem_conformance.commands.verify'\n"
        "try: command.main(['--help'])\n"
        "finally: print(*{'numpy', 'hypothesis', 'rich', 'pytest', 'multiprocessing'} & sys.modules.keys(), 'end')"
    )
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True)
    assert "\n  verify   Hold a provider to the specification" in done.stdout
    assert done.stdout.splitlines()[-1] == "end"


def test_version_and_no_command():
    """--version says it; without a command the help goes to standard error, and the exit
    code is 2.
    """
    assert run("--version").stdout == f"slotmem {slotmem.__version__}\n"
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "commands:\n" in done.stderr


def test_help_of_a_command():
    """The docstring stands around the options: its first line above, examples and exit
    codes below.
    """
    said = run("inspect", "--help").stdout
    assert said.index("Show a live segment") < said.index("  --slot N") < said.index("exit codes: 0 sound")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("inspct", "x"), "slotmem inspct: no such command; did you mean 'inspect'?\n"),
        (("ls",), "slotmem ls: no such command; did you mean 'doctor'?\n"),
        (("LIST",), "slotmem LIST: no such command; did you mean 'doctor'?\n"),
        (("test",), "slotmem test: no such command; did you mean 'conform' or 'verify'?\n"),
        (("zzz",), "slotmem zzz: no such command; known: "),
        (("inspect",), "the following arguments are required: NAME|FILE"),
        (("--nonsense",), "unrecognized arguments: --nonsense"),
    ],
)
def test_usage_errors(arguments, expected):
    """A mistake in the call is told without a traceback, with exit code 2."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_exit_code_is_the_commands(plugin):
    """What `run` gives is the exit code."""
    assert [plugin(subcommand(f"return {code}")) for code in (0, 1, 3)] == [0, 1, 3]


# -- what is missing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requires", "install"),
    [
        (("absent>=2; extra == 'tools'", "other; extra == 'all'", "absent>=2; extra == 'all'"), "'their-tools[tools]'"),
        (("other>=1",), "'absent'"),
    ],
)
def test_missing_package(plugin, capsys, requires, install):
    """A command that needs a package which is not installed says what to install: the smallest
    extra that has it.
    """
    assert plugin(subcommand("return 0", "import absent.part"), requires=requires) == 2
    assert capsys.readouterr().err == (
        f"slotmem plugged: it needs the package 'absent', which is not installed; pip install {install}\n"
    )


def test_bare_library_says_how_to_install_verify():
    """Without third-party packages, `verify` names the extra."""
    script = (
        "import sys; sys.path[:0] = sys.argv[1].split(':')\n"
        "from slotmem import command\n"
        "command._find = lambda: {'verify': command._Command('slotmem_conformance.commands.verify', 'slotmem', "
        "[\"rich>=13; extra == 'verify'\", \"hypothesis; extra == 'verify'\", \"numpy; extra == 'verify'\"])}\n"
        "sys.exit(command.main(['verify']))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, ENVIRONMENT["PYTHONPATH"]], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.endswith("which is not installed; pip install 'slotmem[verify]'\n")


@pytest.mark.parametrize("mistake", ["import slotmem.nonsense", "import json.nonsense"])
def test_mistakes_are_not_missing_packages(plugin, capsys, mistake):
    """A module that is not there in a package that is, is a mistake of the command, and told as
    one.
    """
    assert plugin(subcommand("return 0", mistake)) == 2
    assert "this is a bug in slotmem" in capsys.readouterr().err


def test_missing_module_of_a_command(monkeypatch, capsys):
    """A command whose own module is not there is told, and listed as not usable."""
    monkeypatch.setattr(command, "_find", lambda: {"gone": command._Command("their_tools.gone", "their-tools", ())})
    assert command.main(["gone"]) == 2
    assert "registers the module their_tools.gone, which does not exist" in capsys.readouterr().err
    assert command.main([]) == 2
    assert "gone  (not usable" in capsys.readouterr().err


# -- ending ----------------------------------------------------------------------------------------


def test_words_of_others_are_no_terminal_commands(plugin, capsys):
    """What a command prints, raises or refuses has its control characters as escapes."""
    for body in (
        'print("a\\x1b[2Jb"); return 0',
        'import slotmem; raise slotmem.InvalidName("a\\x1b[2Jb")',
        'raise LookupError("a\\x1b[2Jb")',
    ):
        plugin(subcommand(body))
    with pytest.raises(SystemExit):
        plugin(subcommand("return 0"), "--a\x1b[2Jb")
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert (said.out + said.err).count("\\x1b[2Jb") == 4


def test_errors_of_slotmem_are_one_line(plugin, capsys):
    """An error of slotmem is one line on standard error."""
    assert plugin(subcommand("raise slotmem.NoSegment('there is\\n  none')", "import slotmem")) == 2
    assert capsys.readouterr().err == "slotmem plugged: there is none\n"


@pytest.mark.parametrize(
    "mistake", ["1 / 0", "raise AssertionError('two\\n  lines')", "raise ExceptionGroup('all', [KeyError(1)])"]
)
def test_a_bug_is_one_line_and_no_violation(plugin, capsys, monkeypatch, mistake):
    """What nobody foresaw exits with 2 and a line that says so; a variable shows the traceback."""
    assert plugin(subcommand(mistake)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("slotmem plugged: this is a bug in slotmem ")
    assert "line " in line
    monkeypatch.setenv("SLOTMEM_TRACEBACK", "1")
    assert plugin(subcommand(mistake)) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("raise MemoryError", "out of memory; free some memory, or raise the limit (ulimit -v)"),
        ("raise OSError(28, 'No space left on device')", "No space left on device; free some space"),
        (
            "raise OSError(24, 'Too many open files', '/x')",
            "/x: Too many open files; raise the limit of open files (ulimit -n)",
        ),
        (
            "raise ExceptionGroup('x', [OSError(30, 'Read-only file system', b'/y')])",
            "/y: Read-only file system; mount it for writing",
        ),
    ],
)
def test_the_machine_is_named(plugin, capsys, mistake, told):
    """What the machine did is no bug: a line says what it was and what to do."""
    assert plugin(subcommand(mistake)) == 2
    assert capsys.readouterr().err == f"slotmem plugged: {told}\n"


def run_plugged(tmp_path, body, to=""):
    """Run a subcommand in a process of its own, its output led elsewhere by a shell."""
    (tmp_path / "plugged.py").write_text(subcommand(body))
    script = "import sys; from slotmem import command; command._BUILT_IN['plugged'] = 'plugged'; sys.exit(command.main(['plugged']))"
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{tmp_path}"}
    line = f"{shlex.join([sys.executable, '-c', script])} {to}"
    return subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)


def test_output_that_cannot_be_written(tmp_path):
    """A full device exits with 2 and one line; a closed output is no mistake."""
    done = run_plugged(tmp_path, "print('all is well')", ">/dev/full")
    assert (done.returncode, done.stderr) == (2, "slotmem plugged: No space left on device; free some space\n")
    done = run_plugged(tmp_path, "print('all is well')\n    return 0", ">&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupt(plugin, capsys):
    """Ctrl-C is quiet, with the exit code that shells give it."""
    assert plugin(subcommand("raise KeyboardInterrupt")) == 130
    assert capsys.readouterr() == ("", "")


def test_interrupt_under_another_name(plugin):
    """What Python makes of a Ctrl-C in the body of a class is a Ctrl-C; without one, it is a
    mistake.
    """
    head = "class Raising:\n    def __set_name__(self, owner, name):\n        {}\n"
    body = "\n    class Body:\n        member = Raising()"
    interrupted = head.format("import signal; signal.raise_signal(signal.SIGINT)")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert plugin(subcommand(body, interrupted)) == 130
        assert plugin(subcommand(body, head.format("raise ValueError"))) == 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_interrupt_is_lost(plugin):
    """A Ctrl-C that comes where Python can raise nothing is raised a moment later; the hooks are as
    before afterwards.
    """
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = sys.unraisablehook, signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT), list(gc.callbacks)
    source = subcommand(
        "gc.callbacks.append(swallow); gc.collect(); signal.pause(); return 0",
        "import gc, signal\ndef swallow(phase, info):\n    gc.callbacks.clear()\n    raise KeyboardInterrupt\n",
    )
    try:
        assert plugin(source) == 130
        after = sys.unraisablehook, signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)
    finally:
        gc.callbacks[:] = before[3]
        signal.signal(signal.SIGINT, ignored)
    assert after == before[:3]


# The command as it is installed, with a Ctrl-C at the moment when Python looks for one of its
# modules.
STARTED = """
import signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
signal.signal(signal.SIGINT, getattr(signal, sys.argv[2]))
from slotmem_conformance.start import main
del sys.argv[1:3]
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module", ["slotmem", "slotmem.slots", "slotmem.command", "argparse", "slotmem.inspect.command"]
)
def test_interrupt_of_the_imports(module):
    """Ctrl-C while Python imports what the command needs is as quiet as later; a background job
    does not heed it.
    """

    def start(how):
        arguments = [sys.executable, "-c", STARTED, module, how, "inspect", "--help"]
        done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True)
        return done.returncode, done.stdout != "", done.stderr

    assert start("default_int_handler") == (130, False, "")
    assert start("SIG_IGN") == (0, True, "")


def test_nobody_reads(tmp_path):
    """If nobody reads what is printed, it ends quietly, as with SIGPIPE."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        provider.create("w", 8, 1000)
        ours, theirs = os.pipe()
        os.close(ours)
        done = subprocess.run(
            [sys.executable, "-m", "slotmem", "inspect", "--runtime-dir", tmp_path, "w"],
            env=ENVIRONMENT,
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


def test_other_broken_pipes_are_not_hidden(tmp_path):
    """A broken pipe that is not standard output is a mistake like any other."""
    done = run_plugged(tmp_path, "raise BrokenPipeError")
    assert (done.returncode, "a bug in slotmem" in done.stderr) == (2, True)


def objects_of(pid):
    """Return the shared objects that a process created."""
    found = []
    for path in Path(SHM_FOLDER).glob("ShM.*"):
        try:
            if path.stat().st_size > 2**30:
                continue  # another test's, with more zeros than there is memory
            data = path.read_bytes()
            shape = control.read_geometry(data, len(data), path.name)
            if control.is_ours(data, len(data), shape) and control.read_control(data, shape).creator_pid == pid:
                found.append(path)
        except (OSError, slotmem.SlotmemError):
            continue  # another test's
    return found


def living_in_group(group):
    """Return the processes of a group that have not ended; whoever adopted the others may not have
    noticed yet.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, member_of = path.read_text().rpartition(")")[2].split()[:3]
            if member_of == str(group) and state not in "ZX":
                found.append(path)
    return found


@pytest.mark.parametrize("part", ["httpd", "slots", "servers", "processes"])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_interrupted_verify_leaves_nothing(tmp_path, part, sent, code):
    """Ctrl-C or SIGTERM in any part of `slotmem verify` ends it and its workers, and leaves no file
    and no object.
    """
    interrupt_verify(tmp_path, part, sent, code)


def test_terminated_in_the_background(tmp_path):
    """Where Ctrl-C is ignored, as it is for a shell's jobs in the background, SIGTERM does the
    same.
    """
    interrupt_verify(tmp_path, "httpd", signal.SIGTERM, 143, VERIFY.replace("default_int_handler", "SIG_IGN"))


def test_a_closed_terminal(tmp_path):
    """SIGHUP, which comes when the terminal is closed, ends it and its workers as cleanly."""
    interrupt_verify(tmp_path, "httpd", signal.SIGHUP, 129)


def test_nohup(monkeypatch):
    """SIGHUP that is ignored, as `nohup` has it, stays ignored in every part of a command."""
    seen = []

    def run(arguments):
        with without_interrupts():
            signal.raise_signal(signal.SIGHUP)
        seen.append((signal.getsignal(signal.SIGHUP), signal.SIGHUP in heeded()))
        return 0

    module = types.SimpleNamespace(__doc__="Try.", configure=lambda parser: None, run=run)
    monkeypatch.setattr(command, "_load", lambda name: module)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert command.main(["try"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [(signal.SIG_IGN, False)]


def interrupt_verify(tmp_path, part, sent, code, program=VERIFY):
    """Send a signal to `slotmem verify` and its workers when it comes to a part."""
    with subprocess.Popen(
        [sys.executable, "-c", program, "--quick", "--runtime-dir", tmp_path],
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as verify:
        said = b""
        while f"{part}: ".encode() not in said:
            assert select.select([verify.stderr], [], [], BOUND_S)[0]
            more = os.read(verify.stderr.fileno(), 4096)
            assert more, f"verify ended before it came to {part}; is slotmem installed? It said: {said.decode()}"
            said += more
        os.killpg(verify.pid, sent)
        out, err = verify.communicate(timeout=BOUND_S)
    assert (verify.returncode, out, b"Traceback" in err) == (code, b"", False)
    ends = time.monotonic() + BOUND_S
    while living_in_group(verify.pid):
        assert time.monotonic() < ends
    assert os.listdir(tmp_path) == []
    assert objects_of(verify.pid) == []


def test_exit_codes_are_the_same_in_every_package():
    """What the library's command and the judges' commands end with means the same."""
    ours = {name: code for name, code in vars(exit_codes).items() if name.isupper()}
    assert ours == {each.name: each.value for each in verdict.Exit} | {"UNREAD": 141, "TERMINATED": 143, "HANGUP": 129}
