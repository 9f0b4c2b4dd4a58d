"""Sessions: one conversation with a provider, in this process or in one of its own."""

import os
import sys
from functools import partial

import pytest

import slotmem
from slotmem.slots import Slots
from slotmem_conformance.protocol import answering, protocol, warm
from slotmem_conformance.protocol.session import AdapterError, ProcessSession, open_session

CREATE = {"op": "create", "name": "w", "item_size": 4, "item_num": 3, "type": ["PREGRAB"]}
OK = {"status": "APR_SUCCESS"}
CONVERSATION = [
    (CREATE, OK | {"segment": 0}),
    ({"op": "attach", "name": "w"}, OK | {"segment": 0, "item_size": 4, "item_num": 3}),
    ({"op": "attach", "name": "nobody"}, {"status": "APR_ENOENT"}),
    ({"op": "grab", "segment": 0}, OK | {"id": 0}),
    ({"op": "fgrab", "segment": 0, "id": 2}, OK),
    ({"op": "put", "segment": 0, "id": 0, "data": "41424344"}, OK),
    ({"op": "get", "segment": 0, "id": 0, "len": 3}, OK | {"data": "414243"}),
    ({"op": "get", "segment": 0, "id": 1}, {"status": "APR_NOTFOUND"}),
    ({"op": "dptr", "segment": 0, "id": 1, "data": "ff"}, OK | {"data": "ff000000"}),
    ({"op": "doall", "segment": 0}, OK | {"slots": ["41424344", "00000000"]}),
    ({"op": "doall", "segment": 0, "answers": ["APR_EGENERAL"]}, {"status": "APR_EGENERAL", "slots": ["41424344"]}),
    ({"op": "num_slots", "segment": 0}, OK | {"value": 3}),
    ({"op": "num_free_slots", "segment": 0}, OK | {"value": 1}),
    ({"op": "slot_size", "segment": 0}, OK | {"value": 4}),
    ({"op": "release", "segment": 0, "id": 0}, OK),
    ({"op": "release", "segment": 0, "id": 0}, {"status": "APR_NOTFOUND"}),
    ({"op": "restart"}, OK | {"generation": 8}),
    ({"op": "grab", "segment": 0}, {"status": "APR_ENOSHMAVAIL"}),
    (CREATE, OK | {"segment": 1}),
    ({"op": "close"}, OK),
    (CREATE, {"status": "APR_ENOSHMAVAIL"}),
]


@pytest.fixture(params=["shm", "plain", "shm in a process"])
def session(request, tmp_path):
    spec, _, process = request.param.partition(" ")
    with open_session(spec, runtime_dir=str(tmp_path), generation=7, process=bool(process)) as opened:
        yield opened


def test_conversation(session):
    """Every verb and operation is answered as PROTOCOL.md shows it."""
    for request, response in CONVERSATION:
        assert session.request(request) == response, request


@pytest.mark.parametrize("name", ["httpd", "httpd-locked", "one-lock", "striped", "cas", "reference"])
def test_algorithms(tmp_path, name):
    """`algorithm:NAME` runs an algorithm of the catalogue on real memory, walks and storing
    included.
    """
    with open_session(f"algorithm:{name}", runtime_dir=str(tmp_path), generation=7) as session:
        for request, response in CONVERSATION:
            assert session.request(request) == response, request
        assert session.hello["implementation"] == f"slotmem algorithm:{name}"


class OutOfOrder(Slots):
    def grab(self):
        raise RuntimeError("out of order")


@pytest.mark.parametrize("spec", ["shm", "algorithm:museum:kept-when-full"])
def test_what_an_operation_in_a_batch_raises(tmp_path, monkeypatch, spec):
    """An exception without a status is the implementation's own also in a batch, in this process
    and in another; which operation raised is said. A lock that is kept would outlive its segment
    here, so that is left to the other process.
    """
    out_of_order = partial(slotmem.provider, "shm", algorithm=OutOfOrder)
    monkeypatch.setattr(answering, "open_provider", lambda spec, **options: out_of_order(**options))
    first, why = (0, "out of order") if spec == "shm" else (2, "held by this process already")
    with open_session(spec, runtime_dir=str(tmp_path)) as session:
        session.request({**CREATE, "item_num": 1})
        with pytest.raises(AdapterError, match=rf"responses\[{first}\] to have") as raised:
            session.request({"op": "batch", "segment": 0, "requests": [{"op": "grab"}] * 3})
        assert why in raised.value.raised


def test_an_algorithm_without_a_name(tmp_path):
    """An algorithm that nobody knows is refused at hello."""
    with pytest.raises(AdapterError, match="there is no algorithm 'nonsense'"):
        open_session("algorithm:nonsense", runtime_dir=str(tmp_path))


def test_batch(session):
    """A batch gives the responses of its operations in order, with time stamps that never
    go back.
    """
    session.request(CREATE)
    requests = [{"op": "grab"}, {"op": "put", "id": 0, "data": "ff"}, {"op": "get", "id": 1}]
    response = session.request({"op": "batch", "segment": 0, "requests": requests})
    stamps = [each.pop(name) for each in response["responses"] for name in ("start", "end")]
    assert response == OK | {"responses": [OK | {"id": 0}, OK, {"status": "APR_NOTFOUND"}]}
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"op": "dance"}, r'one of the operations .*, not "dance"'),
        ({"op": "grab"}, "segment"),
        ({"op": "grab", "segment": True}, "segment"),
        ({"op": "put", "segment": 0, "id": 0, "data": "FF"}, "lower-case"),
        ({"op": "batch", "segment": 0, "requests": [{"op": "get"}]}, r"requests\[0\].*id"),
        ({"op": "batch", "segment": 0, "requests": [{"op": "grab", "segment": 0}]}, "to be absent"),
        ({"op": "quit"}, r"close\(\) of the session"),
    ],
)
def test_malformed_requests(session, request_, said):
    """A malformed request is the caller's mistake, and is not sent."""
    with pytest.raises(ValueError, match=said):
        session.request(request_)


def test_unknown_segment(session):
    """A segment number that was never given is an error of the conversation."""
    with pytest.raises(AdapterError, match="one of the 0 segments that were opened, not 5"):
        session.request({"op": "grab", "segment": 5})


def test_unknown_provider(tmp_path):
    """A provider that does not exist says so in hello, in this process and in another."""
    for process in (False, True):
        with pytest.raises(AdapterError, match="there is no provider 'nonsense'"):
            open_session("nonsense", runtime_dir=str(tmp_path), process=process)


def test_kill(tmp_path):
    """A killed driver is gone at once, and its session says so; an in-process one refuses."""
    session = open_session("shm", runtime_dir=str(tmp_path), process=True)
    session.kill()
    session.kill()
    with pytest.raises(AdapterError, match="has ended"):
        session.request(CREATE)
    with open_session("plain", runtime_dir=str(tmp_path)) as other, pytest.raises(ValueError, match="process=True"):
        other.kill()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit(3)", "its exit with status 3"),
        ("import os; os.kill(os.getpid(), 11)", "its death by SIGSEGV"),
        ("input(); print('hello yourself')", "one line of JSON"),
        ("input(); print('{}')", "protocol"),
        ("input(); print('{', end='', flush=True); input()", "b'{' without a line end within 0.5 s"),
        ("import time; time.sleep(100)", "nothing within 0.5 s"),
        ("import sys; print('it hurts', file=sys.stderr); sys.exit(1)", "standard error ends with: it hurts"),
    ],
)
def test_broken_drivers(tmp_path, script, said):
    """A driver that is dead, silent or talks garbage gives an AdapterError that says what was sent
    and what came back.
    """
    quoted = f'exec:{sys.executable} -c "{script}"'
    with pytest.raises(AdapterError, match=r'sent \{"op":"hello"') as caught:
        open_session(quoted, runtime_dir=str(tmp_path), timeout_s=0.5 if "0.5" in said else 20)
    assert said in str(caught.value)


def test_missing_command(tmp_path):
    """A command that cannot be started is an AdapterError, and none at all a ValueError."""
    with pytest.raises(AdapterError, match="No such file"):
        open_session("exec:/no/such/driver", runtime_dir=str(tmp_path))
    with pytest.raises(ValueError, match="names no command"):
        open_session("exec:", runtime_dir=str(tmp_path))


def test_the_warm_process_may_die(tmp_path):
    """A warm process that somebody killed is started again by the next session that wants it."""
    with open_session("shm", runtime_dir=str(tmp_path), process=True):
        warm._parent._process.kill()
        warm._parent._process.wait()
    with open_session("shm", runtime_dir=str(tmp_path), process=True) as session:
        assert session.request(CREATE) == OK | {"segment": 0}


def test_drivers_are_apart(tmp_path):
    """Two drivers of one warm process share nothing, and each has its folder, path and environment
    from the session's process.
    """
    with open_session("plain", runtime_dir=str(tmp_path), process=True) as one:
        one.request(CREATE)
        with open_session("plain", runtime_dir=str(tmp_path), process=True) as other:
            assert other.pid != one.pid
            assert other.request({"op": "attach", "name": CREATE["name"]})["status"] == "APR_ENOENT"
            for session in (one, other):
                assert os.readlink(f"/proc/{session.pid}/cwd") == os.getcwd()
                assert os.getsid(session.pid) == session.pid


def test_an_interrupted_hello(tmp_path, monkeypatch):
    """Ctrl-C before hello is answered ends the driver: it makes nothing in a runtime directory that
    is removed by then.
    """
    started = []

    def interrupted(session, *_):
        started.append(session)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessSession, "say_hello", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_session("shm", runtime_dir=str(tmp_path), process=True)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)


def test_version_is_in_the_schema():
    """The schema asks for the version that the code speaks."""
    assert protocol.schema()["definitions"]["hello_request"]["properties"]["protocol"] == {"const": protocol.VERSION}
