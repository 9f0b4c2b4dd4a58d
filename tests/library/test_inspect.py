"""`slotmem inspect`: it tells what is there, accuses what is wrong and nothing else, takes nothing
and changes nothing.
"""

import mmap
import os
import signal
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import slotmem
from slotmem import Type
from slotmem.inspect import judgement as inspection
from slotmem.memory import control
from slotmem.memory.layout import NUM_FREE_START
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model import stored_bytes as files
from tools.inspected import EXAMPLE, PREGRAB, SLOTS, path_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def provider(tmp_path):
    with slotmem.provider("shm", runtime_dir=tmp_path) as opened:
        yield opened


@pytest.fixture
def workers(provider):
    """Eight slots of 64 bytes, number 0 and 2 in use."""
    instance = provider.create("workers", 64, 8, Type.PREGRAB | Type.PERSIST)
    for item_id, data in ((0, b"pid 4711"), (2, b"pid 4712\0\xff")):
        instance.fgrab(item_id)
        instance.put(item_id, data)
    return instance


def in_child(do, then=signal.pause):
    """Fork a child that does something, says so, and does `then` again and again until its end.

    Returns its pid.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            do()
            os.write(theirs, b".")
            while True:
                then()
        finally:
            os._exit(1)
    os.close(theirs)
    assert os.read(ours, 1) == b"."
    os.close(ours)
    return pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def changed(path, offset, content):
    """Overwrite bytes of an object for a while."""
    with open(path, "r+b", buffering=0) as file:
        before = os.pread(file.fileno(), len(content), offset)
        os.pwrite(file.fileno(), content, offset)
        yield
        os.pwrite(file.fileno(), before, offset)


# -- what is there ---------------------------------------------------------------------------------


def test_live_segment(look, workers, tmp_path):
    """A sound segment is shown with its shape, its map, its slots, its locks and who has it
    open.
    """
    code, said = look("workers")
    assert code == 0
    assert said.startswith("live segment workers, made by slotmem\n")
    for line in (
        f"  object     {path_of(tmp_path)}: ",
        f"  segment    {tmp_path}/slotmem-shm-workers_0.shm (generation 0)\n",
        "  shape      8 slots of 64 bytes, PERSIST|PREGRAB\n",
        "  slots      2 in use, 6 free; num_free says 6\n",
        f"by process {os.getpid()}\n",
        f"process {os.getpid()} (",
        "           0  #.#.....\n",
        "           2  70696420 34373132 00ff0000 00000000 00000000 00000000  pid 4712................\n",
        "locks: 9 in all, 9 free\n",
    ):
        assert line in said
    assert said.endswith("\nnothing is wrong with it\n")


def test_json_says_the_same(examine, workers, tmp_path):
    """The JSON report has every part, and the exit code agrees with it."""
    code, report = examine("workers", "--slot", "2")
    assert (code, report["sound"], report["problems"]) == (0, True, [])
    assert (report["kind"], report["made_by"], report["alive"]) == ("segment", "slotmem", True)
    assert report["path"] == path_of(tmp_path)
    assert report["header"]["flags"] == "PERSIST|PREGRAB"
    assert report["occupancy"] == {"counted": 8, "in_use": 2, "free": 6, "slots_per_cell": 1, "map": "#.#....."}
    assert report["control"]["creator"] == os.getpid()
    assert os.getpid() in [opener["process"] for opener in report["open_in"]]
    assert [lock["state"] for lock in report["locks"]] == ["free"] * 9
    assert report["slot"]["in_use"]
    assert bytes.fromhex(report["slot"]["hex"]) == workers.get(2)


def test_slot_shows_every_byte(look, workers):
    """--slot dumps the whole slot, and says whether it is in use; equal lines are left out and
    counted.
    """
    workers.put(0, bytes(range(64)))
    _, said = look("workers", "--slot", "0")
    dumped = "".join(line[12:59] for line in said.splitlines()[1:])
    assert said.startswith("slot 0 of workers: 64 bytes, in use\n")
    assert bytes.fromhex(dumped) == bytes(range(64))
    _, said = look("workers", "--slot", "1")
    assert "slot 1 of workers: 64 bytes, free\n" in said
    assert "         *  2 equal lines left out\n" in said


def test_slot_out_of_range(look, workers):
    """A slot that the segment does not have is a usage error."""
    assert look("workers", "--slot", "8") == (
        2,
        "slotmem inspect: slot 8 is out of range: workers has 8 slots (0..7)\n",
    )


def test_generations(look, tmp_path):
    """Without --generation the first that is there is shown, and the others are named."""
    with (
        slotmem.provider("shm", runtime_dir=tmp_path, generation=3) as third,
        slotmem.provider("shm", runtime_dir=tmp_path, generation=11) as eleventh,
    ):
        third.create("w", 8, 1)
        eleventh.create("w", 8, 2)
        code, said = look("w")
        assert (code, "(generation 3)" in said, "--generation 11" in said) == (0, True, True)
        code, said = look("w", "--generation", "11")
        assert (code, "2 slots of 8 bytes" in said) == (0, True)
        assert look("w", "--generation", "4")[0] == 2


def test_absolute_name_and_object_path(examine, provider, tmp_path):
    """An absolute name, and the path of the object itself, lead to the segment."""
    name = f"{tmp_path}/table"
    provider.create(name, 4, 3).put(1, b"abcd")
    for what in (name, object_path(resolve(name, "", 0))):
        code, report = examine(what)
        assert (code, report["kind"], report["occupancy"]["map"], report["alive"]) == (0, "segment", ".#.", True)


def test_huge_segment_is_abbreviated(look, provider, tmp_path):
    """A million slots take some forty lines of at most 100 signs, and it is said what was
    left out.
    """
    table = provider.create("table", 8, 1_000_000, Type.PREGRAB).algorithm()
    table.inuse[0:300_000] = b"\1" * 300_000
    table.num_free[0] -= 300_000
    code, said = look("table")
    lines = said.splitlines()
    assert code == 0
    assert len(lines) < 50
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 100
    assert "each character is 1954 slots" in said
    assert "and 299990 more" in said


def test_names_are_not_terminal_commands(look, provider):
    """Control characters in a name are shown as escapes."""
    provider.create("a\x1b[2Jb", 8, 1)
    _, said = look("a\x1b[2Jb")
    assert "\x1b" not in said
    assert "a\\x1b[2Jb" in said


def test_any_encoding(provider, tmp_path):
    """Where the terminal cannot show a name, its letters are shown as escapes."""
    provider.create("caf\u00e9", 8, 1)
    done = subprocess.run(
        [sys.executable, "-m", "slotmem", "inspect", "--runtime-dir", tmp_path, "caf\u00e9"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"live segment caf\\xe9, made by slotmem")


def test_nothing_there(look, tmp_path):
    """Where nothing is found, it is said what was looked for, and nothing is made."""
    missing = tmp_path / "run"
    code, said = look("--runtime-dir", missing, "workers")
    assert code == 2
    for part in (f"{missing}/slotmem-shm-workers_0.shm", f"{missing}/slotmem-shm-workers.shm.persist", "ShM."):
        assert part in said
    assert said.count("\n") == 1
    assert not missing.exists()


@pytest.mark.parametrize("what", ["", "none", "../x", "a\0b", "x" * 300, "/", "/dev/null"])
def test_what_cannot_be_looked_into(look, what):
    """Names that mean nothing, folders and devices give one line and exit code 2."""
    code, said = look(what)
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("slotmem inspect: ")


# -- it takes nothing and changes nothing ----------------------------------------------------------


def test_every_lock_held(examine, workers, tmp_path):
    """With every lock held by another process it answers, names the holder, and changes neither
    bytes nor times.
    """
    algorithm = workers.algorithm()
    pid = in_child(lambda: [algorithm.trylock(each) for each in algorithm.mutexes])
    try:
        path = path_of(tmp_path)
        before = Path(path).read_bytes(), os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns
        code, report = examine("workers")
        assert (Path(path).read_bytes(), os.stat(path).st_mtime_ns, os.stat(path).st_ctime_ns) == before
    finally:
        kill(pid)
    assert (code, report["sound"], report["notes"]) == (0, True, [])
    assert {(lock["state"], lock["thread"], lock["alive"]) for lock in report["locks"]} == {("held", pid, True)}
    assert f"process {pid} (" in report["locks"][0]["holder"]
    assert {os.getpid(), pid} <= {opener["process"] for opener in report["open_in"]}


def test_halfway_through_a_grab(examine, workers):
    """A counter that disagrees while a living owner holds the table is noted; after the owner's
    death it is repaired.
    """
    algorithm = workers.algorithm()

    def begin_grab():
        algorithm.trylock(algorithm.table_mutex)
        algorithm.inuse[1] = 1

    pid = in_child(begin_grab)
    try:
        code, report = examine("workers")
    finally:
        kill(pid)
    assert (code, ["the table's lock is held" in note for note in report["notes"]]) == (0, [True])
    assert workers.num_free_slots() == 5
    assert examine("workers")[1]["notes"] == []


_AUDITED = """
import os, sys
seen = []
def hook(event, arguments):
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        seen.append((event, arguments[0]))
    elif event.startswith(("fcntl.", "shutil.", "socket.", "subprocess.")) or event in (
        "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
        "os.utime", "os.lockf", "os.posix_spawn", "os.fork", "os.kill"):
        seen.append((event, *map(str, arguments)))
    elif event == "mmap.__new__" and arguments[0] != -1:
        seen.append((event, *map(str, arguments)))
sys.addaudithook(hook)
from slotmem.command import main
code = main(sys.argv[1:])
print(seen, file=sys.stderr)
sys.exit(code)
"""


def test_no_call_that_could_disturb(provider, workers, tmp_path):
    """It opens for reading only: no flock, no shared mapping, no folder made, as the interpreter's
    own audit shows.
    """
    provider.create("store", 8, 1, Type.PERSIST)
    done = []
    for what in ("workers", "store", "nothing"):
        arguments = [sys.executable, "-B", "-c", _AUDITED, "inspect", "--runtime-dir", str(tmp_path), what]
        done.append(subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True))
    assert [run.returncode for run in done] == [0, 0, 2]
    assert [run.stderr.splitlines()[-1] for run in done] == ["[]"] * 3


def test_busy_segment_is_not_accused(examine, workers):
    """A segment that another process works on all the time is sound, whenever one looks."""

    pids = [in_child(lambda: None, lambda: rounds(workers)) for _ in range(2)]
    try:
        findings = [examine("workers")[1]["problems"] for _ in range(40)]
    finally:
        for pid in pids:
            kill(pid)
    assert findings == [[]] * 40


def rounds(instance):
    """Take a slot, write it, give it back."""
    item_id = instance.grab()
    instance.put(item_id, bytes(64))
    instance.release(item_id)


@pytest.mark.parametrize(
    ("free_counts", "problems", "notes"),
    [
        ([5, 6], 0, 0),  # a release was under way
        ([5, 4, 5, 6], 0, 0),
        ([5, 5, 4, 4, 6], 0, 0),  # the same half-way state twice is not yet standing still
        ([5] * 8, 1, 0),  # it stands still, and is wrong
        ([5, 4] * 26, 0, 1),  # it never stood still
    ],
)
def test_only_what_stands_still_is_judged(examine, workers, monkeypatch, free_counts, problems, notes):
    """A counter that disagrees is wrong only if nothing moved for eight looks; six slots are free
    here.
    """
    counts = iter(free_counts)
    real = inspection._look
    monkeypatch.setattr(inspection, "_look", lambda *given: real(*given)._replace(num_free=next(counts)))
    code, report = examine("workers")
    assert (len(report["problems"]), len(report["notes"]), code) == (problems, notes, problems)


# -- what is wrong ---------------------------------------------------------------------------------


def test_dead_owner(examine, workers):
    """An owner that died holding a lock is named, with the put that is still to be finished; after
    the repair all is well.
    """
    algorithm = workers.algorithm()
    _, guard, word, copy = algorithm.stripe_redo[2]

    def begin_put():
        algorithm.trylock(algorithm.table_mutex)
        algorithm.trylock(guard)
        algorithm.redo[copy : copy + 3] = b"new"
        algorithm.words[word + 1] = 3
        algorithm.words[word] = 2 + 1

    pid = in_child(begin_put)
    kill(pid)
    code, report = examine("workers")
    died = [(lock["which"], lock["thread"]) for lock in report["locks"] if lock["state"] == "owner died"]
    assert (code, died) == (1, [(0, pid), (3, pid)])
    assert [(record["slot"], record["nbytes"]) for record in report["redo"]] == [(2, 3)]
    assert [f"thread {pid}, died holding it" in problem for problem in report["problems"]] == [True, True]
    assert workers.get(2, 3) == b"new"
    workers.num_free_slots()
    assert examine("workers")[0] == 0


def test_lock_given_up(examine, workers):
    """A lock that its heir gave up unrepaired is told apart from a free one, until somebody takes
    it.
    """
    algorithm = workers.algorithm()
    kill(in_child(lambda: algorithm.trylock(algorithm.table_mutex)))
    algorithm.trylock(algorithm.table_mutex)
    algorithm.unlock(algorithm.table_mutex)  # without `consistent`
    code, report = examine("workers")
    assert (code, report["locks"][0]["state"]) == (1, "given up")
    assert ["given up" in problem for problem in report["problems"]] == [True]
    workers.num_free_slots()
    assert examine("workers")[0] == 0


@pytest.mark.parametrize(
    ("place", "content", "expected"),
    [
        (lambda _: NUM_FREE_START, struct.pack("=I", 7), "num_free says 7 free slots, but 6 in-use bytes are 0"),
        (lambda shape: shape.inuse_start, b"\x07", "1 in-use bytes are neither 0 nor 1"),
        (lambda _: 0, struct.pack("=Q", 99), "do not agree"),
        (lambda _: 16, struct.pack("=I", 9), "do not agree"),
        (lambda _: 20, struct.pack("=I", 0x25), "unknown flags: 0x20"),
        (lambda shape: shape.control_start, b"?", "its control block is overwritten"),
        (lambda shape: shape.control_start + 8, struct.pack("=I", 9), "a control block of version 9"),
        (lambda shape: shape.control_start + 16, bytes(16), "before the last reboot"),
        (lambda shape: shape.control_start + 32, bytes(8), "belongs to pid namespace 0"),
        (lambda shape: shape.control_start + 64, bytes(8), "describes a different shape from its header"),
        (lambda shape: shape.mutexes_start, b"\xff" * 40, "the lock of the table is overwritten"),
        (
            lambda shape: shape.redo_start,
            struct.pack("=QQ", 2, 3),
            "a put to slot 0 was left unfinished, and its lock is free",
        ),
        (lambda shape: shape.redo_start, struct.pack("=QQ", 99, 3), "slot 98, which the segment does not have"),
    ],
)
def test_each_damage_is_told(look, workers, tmp_path, place, content, expected):
    """Each kind of damage to a live segment is told, with exit code 1; when it is undone, nothing
    is wrong.
    """
    with changed(path_of(tmp_path), place(control.shape_of(64, 8, 5)), content):
        if content == struct.pack("=QQ", 2, 3):  # slot 1 belongs to the next stripe: still unfinished
            expected = "a put to slot 1 was left unfinished, and its lock is free"
        code, said = look("workers")
    assert code == 1
    assert expected in " ".join(said.split())
    assert look("workers")[0] == 0


def test_counter_without_pregrab(look, provider, tmp_path):
    """Our counter is exact without PREGRAB too."""
    provider.create("table", 8, 4)
    with changed(path_of(tmp_path, "table"), NUM_FREE_START, struct.pack("=I", 3)):
        code, said = look("table")
    assert (code, "num_free says 3 free slots, but 4 in-use bytes are 0" in said) == (1, True)


def test_truncated_object(look, workers, tmp_path):
    """An object that is cut off is told, at every length that loses something."""
    whole = Path(path_of(tmp_path)).read_bytes()
    names = resolve("cut", str(tmp_path), 0)
    try:
        for length in (0, 7, 31, 32, 300, 591, 700, len(whole) - 4096):
            Path(object_path(names)).write_bytes(whole[:length])
            code, said = look("cut")
            assert code == 1, (length, said)
    finally:
        os.unlink(object_path(names))


def test_dead_server(look, tmp_path):
    """A segment whose creator was killed is told, with an attacher and without one."""
    script = (
        "import os, slotmem, sys; p = slotmem.provider(runtime_dir=sys.argv[1]); p.create('w', 8, 2); print(os.getpid(), flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        server.stdout.readline()
        assert look("w")[0] == 0
        with slotmem.provider("shm", runtime_dir=tmp_path) as client:
            attached = client.attach("w")
            server.kill()
            server.wait()
            code, said = look("w")
            assert (code, attached.num_slots()) == (1, 2)
            assert f"its creator, process {server.pid}, ended without closing it, so nobody" in " ".join(said.split())
    code, said = look("w")
    assert (code, "dead segment w" in said, "nobody has it open" in said) == (1, True, True)
    with slotmem.provider("shm", runtime_dir=tmp_path) as heir:
        heir.create("w", 8, 2)
        assert look("w")[0] == 0


# -- httpd's ---------------------------------------------------------------------------------------


@contextmanager
def by_httpd(tmp_path, slots, type_, num_free=None):
    """Put an object into place as httpd makes it, and keep it mapped."""
    content = bytearray(files.mapped(slots, type_))
    if num_free is not None:
        content[24:28] = struct.pack("=I", num_free)
    path = path_of(tmp_path, "theirs")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, content)
        with mmap.mmap(fd, len(content)):
            yield
    finally:
        os.close(fd)
        os.unlink(path)


def test_httpds_segment(examine, tmp_path):
    """A segment without control block is httpd's, and sound."""
    with by_httpd(tmp_path, SLOTS, PREGRAB):
        code, report = examine("theirs")
    assert (code, report["made_by"], report["alive"], report["control"]) == (0, "httpd", True, None)
    assert (report["occupancy"]["map"], report["slots"][0]["text"]) == (".#.", "abcd")


def test_httpds_counter(examine, tmp_path):
    """A wrong counter is wrong with PREGRAB; without, httpd's counter drifts, which is a note."""
    with by_httpd(tmp_path, SLOTS, PREGRAB, num_free=2**32 - 1):
        code, report = examine("theirs")
        assert (code, "num_free says 4294967295" in report["problems"][0]) == (1, True)
    with by_httpd(tmp_path, SLOTS._replace(pregrab=False), 0, num_free=3):
        code, report = examine("theirs")
        assert (code, report["problems"], "drifts" in report["notes"][0]) == (0, [], True)


# -- persisted files -------------------------------------------------------------------------------


def test_persisted_file(examine, look, provider, workers, tmp_path):
    """After the end of the server its name shows the persisted file, and says so; the path shows
    the same.
    """
    provider.close()
    code, said = look("workers")
    assert (code, "there is no live segment of this name" in said) == (0, True)
    file = tmp_path / "slotmem-shm-workers.shm.persist"
    before = file.read_bytes(), file.stat().st_mtime_ns
    for what in ("workers", file, os.path.relpath(file)):
        code, report = examine(what)
        assert (code, report["kind"], report["path"]) == (0, "file", str(file))
        assert report["occupancy"]["map"] == "#.#....."
        assert report["slots"][1]["text"] == "pid 4712" + "." * 16
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert look(file, "--slot", "2")[1].startswith(f"slot 2 of {file}: 64 bytes, in use\n  00000000  70 69 64 20")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (EXAMPLE, "nothing is wrong with it"),
        (EXAMPLE[:8] + b"?" + EXAMPLE[9:], "its MD5 does not match its bytes"),
        (EXAMPLE[:-1], "it has 54 bytes, but its last 16 say"),
        (EXAMPLE + b"\0", "it has 56 bytes, but its last 16 say"),
        (EXAMPLE[:39], "it has 39 bytes, the smallest persisted file has 40"),
        (b"", "it has 0 bytes"),
        (EXAMPLE[:-4] + b"\x15\0\0\0", "unknown flags: 0x10"),
    ],
)
def test_files_are_judged(look, tmp_path, data, expected):
    """Apache's published example is sound; each kind of damage to it is told."""
    file = tmp_path / "any.persist"
    file.write_bytes(data)
    code, said = look(file)
    assert expected in " ".join(said.split())
    assert code == (0 if data == EXAMPLE else 1)


def test_a_size_that_is_not_so(look, tmp_path, monkeypatch):
    """A file that has fewer bytes than it says, as those in /sys have, or is cut meanwhile, is told
    to be so.
    """
    file = tmp_path / "any.persist"
    file.write_bytes(EXAMPLE)
    pread = os.pread
    for there in (len(EXAMPLE) - 1, 0):
        monkeypatch.setattr(
            os, "pread", lambda fd, nbytes, at, there=there: pread(fd, min(nbytes, max(0, there - at)), at)
        )
        code, said = look(file)
        assert (code, "it says that it has 55 bytes, and fewer can be read" in " ".join(said.split())) == (1, True)


def test_symlink_is_not_followed(look, tmp_path):
    """A symlink planted at an object's name is told, not followed."""
    path = path_of(tmp_path, "w")
    os.symlink("/etc/passwd", path)
    try:
        code, said = look("w")
    finally:
        os.unlink(path)
    assert (code, "is a symlink" in said) == (2, True)


HUGE = [
    (0, 2**32 - 1, 1, ["only the first 8388608 of 4294967295 in-use bytes"]),
    (2**40, 1, 1, []),
    (2**30, 2**10, 0, []),
]


@pytest.mark.parametrize(("item_size", "item_num", "damage", "notes"), HUGE)
@pytest.mark.parametrize("is_segment", [True, False], ids=["segment", "file"])
def test_whatever_it_is_shown_it_looks_at_little(
    look, tmp_path, monkeypatch, item_size, item_num, damage, notes, is_segment
):
    """Of an object or a file of very many bytes, mostly holes, a bounded part is read and said so,
    whatever is wrong with it.
    """
    place = path_of(tmp_path, "huge") if is_segment else str(tmp_path / "huge.persist")
    length = 32 + item_size * item_num + item_num
    head = struct.pack("=QQIII", length, item_size, item_num, 4, item_num - damage)
    try:
        with open(place, "xb") as file:
            file.write(head if is_segment else head[24:])
            file.truncate(length if is_segment else length - 24 + 16)
            file.seek(0, os.SEEK_END)
            file.write(b"" if is_segment else head[8:24])
        read = []
        pread = os.pread

        def counted(fd, nbytes, start):
            part = pread(fd, nbytes, start)
            read.append(len(part))
            return part

        monkeypatch.setattr(os, "pread", counted)
        code, said = look("huge" if is_segment else place)
        text = " ".join(said.split())
        assert (code, all(note in text for note in notes)) == (int(damage and not notes), True)
        assert is_segment or "its MD5 was not compared with its bytes" in text
        assert "bytes more" in look("huge" if is_segment else place, "--slot", 0)[1] or item_size <= 2**20
        assert look("huge" if is_segment else place, "--slot", 0, "--json")[0] == code
    finally:
        os.unlink(place)
    assert sum(read) < 2**27
    assert max(read) <= 2**20
