"""Random lives of two servers on one runtime directory, beside the specification of servers.

Names relative, absolute and anonymous; creating, attaching, slot operations, restarts, clean ends,
deaths, and persisted files that are corrupted, truncated, grown. After every step the mapped bytes
and the persisted files are compared with those that `slotmem_model.stored_bytes` computes from the
specification's state.

A provider of memory that no other process can see (`plain`) is asked less: one server, nothing
stored, no death that leaves something behind.
"""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slotmem import Closed, SlotmemError, Type
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_conformance.machines.driving import Difference, perform
from slotmem_conformance.machines.slots import run_machine
from slotmem_model import server_spec, spec
from slotmem_model import stored_bytes as files
from slotmem_model.server_spec import ENOSHMAVAIL, Opened, World
from slotmem_model.spec import SUCCESS, Result
from slotmem_stress.interrupts import without_interrupts

SERVERS = st.integers(0, 1)
NAMES = st.sampled_from(["a", "a", "a", "/absolute", "b", None, "NONE"])
# Mostly the same few shapes and flags, or nothing stored would ever fit what is created later.
SHAPES = st.sampled_from([(4, 3), (4, 3), (4, 3), (1, 2), (0, 1), (3, 0)])
TYPES = st.sampled_from(
    [Type.PERSIST] * 4 + [Type.PERSIST | Type.CLEARINUSE] * 2 + [Type.PERSIST | Type.PREGRAB]
) | st.integers(0, 15).map(Type)
OPERATIONS = st.one_of(
    st.just(("grab",)),
    st.tuples(st.sampled_from(["fgrab", "release", "get"]), st.integers(0, 2)),
    st.tuples(st.just("put"), st.integers(0, 2), st.binary(max_size=4)),
)


class ServerMachine(RuleBasedStateMachine):
    """Two servers and their specification.

    Subclasses give `make_provider(runtime_dir, generation)`.
    """

    make_provider: Callable[[str, int], Any]
    shared: bool
    """Whether others can see the memory, which then has an object and may have a file."""
    base: str | None
    """Where the folder of each life is made; None: where temporary files are."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="slotmem-machine-", dir=self.base)
        self.world: World = server_spec.EMPTY
        self.providers: dict[int, Any] = {}
        self.instances: list[tuple[int, int, Any]] = []  # server, key, instance
        self.damaged: dict[str, bytes] = {}  # by name: what a damaged file was left as
        self.aside: list[bytes] = []  # what must have been kept
        self.program: list[Any] = []
        self.segment_names: set[str] = set()  # all there ever were

    def _name(self, name: str | None) -> str | None:
        """Keep absolute names inside the temporary folder."""
        return self.folder + name if name and name.startswith("/") else name

    def _expect(self, clause: str, expected: Any, got: Any) -> None:
        if got != expected:
            lines = "\n".join(f"  {step}" for step in self.program)
            raise Difference(f"clause {clause}: got {got}, must be {expected}\nthe program:\n{lines}")

    def _provider(self, server: int) -> Any:
        """Return the server's provider; start it if it is not there."""
        if server not in self.providers:
            self.providers[server] = type(self).make_provider(self.folder, 0)
            self.world, _ = server_spec.start(self.world, server)
        return self.providers[server]

    def _open(self, clause: str, server: int, call: Callable[[], Any], expected: Result) -> None:
        """Compare the outcome of a create or attach with the specification's."""
        try:
            instance, got = call(), SUCCESS
        except SlotmemError as error:
            instance, got = None, error.status.name
        self._expect(clause, expected.status, got)
        if instance is None:
            return
        opened: Opened = expected.value
        if opened.restored == "the same":
            same = [other for _, key, other in self.instances if key == opened.key]
            self._expect(clause, True, any(instance is other for other in same))
            return
        if opened.restored != "attached":
            self._expect("RESTORE-2", opened.restored, instance.restored.outcome.value)
        segment = self.world.segments[opened.key]
        self._expect("ATTACH-1", len(segment.slots.inuse), instance.num_slots())
        self._expect("ATTACH-1", segment.slots.item_size, instance.slot_size())
        self.instances.append((server, opened.key, instance))

    def _known(self, server: int) -> int:
        return server if self.shared else 0

    @rule(server=SERVERS, name=NAMES, shape=SHAPES, flags=TYPES)
    def create(self, server: int, name: str | None, shape: tuple[int, int], flags: Type) -> None:
        """Create a segment; the specification knows whether that works and what is restored."""
        server, (item_size, item_num) = self._known(server), shape
        if not self.shared:
            flags &= ~Type.PERSIST
        self.program.append(("create", server, name, item_size, item_num, flags))
        provider, name = self._provider(server), self._name(name)
        present = self.world.files.get(name) if name else None
        self.world, expected = server_spec.create(self.world, server, name, item_size, item_num, int(flags))
        if name and present and expected.value and expected.value.restored == "set aside":
            self.aside.append(
                self.damaged[name] if not present.intact else files.persisted(present.slots, present.type)
            )
        self._open("CREATE-5", server, lambda: provider.create(name, item_size, item_num, flags), expected)
        if self.shared and name and expected.status == SUCCESS:
            cleared = [
                dead for dead in server_spec.find_dead(self.world, name) if not os.path.exists(self._object(dead))
            ]
            self.world, _ = server_spec.clear(self.world, cleared)  # a server may do so

    @rule(server=SERVERS, which=st.integers(0, 20))
    def create_again(self, server: int, which: int) -> None:
        """Create with the shape and flags of a persisted file, as a server that comes back does."""
        if self.world.files:
            name, file = sorted(self.world.files.items())[which % len(self.world.files)]
            relative = name.removeprefix(self.folder)
            self.create(server, relative, (file.slots.item_size, len(file.slots.inuse)), Type(file.type))

    @rule(server=SERVERS, name=NAMES)
    def attach(self, server: int, name: str | None) -> None:
        """Attach to a segment that may be there or not."""
        server = self._known(server)
        self.program.append(("attach", server, name))
        provider, name = self._provider(server), self._name(name)
        self.world, expected = server_spec.attach(self.world, server, name)
        self._open("ATTACH-3", server, lambda: provider.attach(name), expected)

    @rule(which=st.integers(0, 20), operation=OPERATIONS)
    def operate(self, which: int, operation: Any) -> None:
        """Do a slot operation through any instance that is open."""
        if self.instances:
            _, key, instance = self.instances[which % len(self.instances)]
            self.program.append(("operate", key, operation))
            self.world, expected = server_spec.operate(self.world, key, operation)
            self._expect("ATOMIC-1", expected, perform(instance, operation))

    @rule(server=SERVERS)
    def restart(self, server: int) -> None:
        """Store and end everything of a server; it goes on in the next generation."""
        server = self._known(server)
        self.program.append(("restart", server))
        self._provider(server).restart()
        self.world, _ = server_spec.restart(self.world, server)
        self._expect("RESTART-3", self.world.servers[server].generation, self.providers[server].generation)
        self._all_closed(server)

    @rule(server=SERVERS)
    def close(self, server: int) -> None:
        """End a server cleanly."""
        server = self._known(server)
        self.program.append(("close", server))
        self._provider(server).close()
        self.world, _ = server_spec.close(self.world, server)
        del self.providers[server]
        self._all_closed(server)

    @precondition(lambda self: self.shared)
    @rule(server=SERVERS)
    def kill(self, server: int) -> None:
        """End a server as SIGKILL does: nothing is stored, nothing unlinked."""
        self.program.append(("kill", server))
        provider = self._provider(server)
        provider.abandon()
        self.world, _ = server_spec.kill(self.world, server)
        del self.providers[server]
        self._all_closed(server)

    @rule(
        which=st.integers(0, 20),
        how=st.sampled_from(["corrupt", "truncate", "grow", "empty"]),
        where=st.integers(0, 999),
    )
    def damage(self, which: int, how: str, where: int) -> None:
        """Damage a persisted file that is still intact."""
        intact = sorted(name for name, file in self.world.files.items() if file.intact)
        if not intact:
            return
        name = intact[which % len(intact)]
        self.program.append(("damage", name, how, where))
        path = self._persisted(name)
        data = bytearray(_read(path))
        if how == "corrupt":
            data[where % len(data)] ^= 1 + where % 255
        elif how == "truncate":
            del data[where % len(data) :]
        elif how == "grow":
            data += bytes(1 + where)
        else:
            data.clear()
        with open(path, "wb") as file:
            file.write(data)
        self.damaged[name] = bytes(data)
        self.world, _ = server_spec.damage(self.world, name)

    @invariant()
    def every_byte_agrees(self) -> None:
        """Compare the objects in the shm folder and the persisted files, byte for byte."""
        for name, file in self.world.files.items():
            expected = files.persisted(file.slots, file.type) if file.intact else self.damaged[name]
            clause = "STORE-3" if file.type & Type.CLEARINUSE else "BYTES-2"
            self._expect(clause, expected, _read(self._persisted(name)))
        aside = [_read(path) for path in glob.glob(os.path.join(glob.escape(self.folder), "*.bad-*"))]
        self._expect("RESTORE-3", sorted(self.aside), sorted(aside))
        for _, key, instance in self.instances:
            segment = self.world.segments[key]
            slots = tuple(bytes(instance.dptr(item_id)) for item_id in range(instance.num_slots()))
            self._expect("ATTACH-1", (segment.slots.data, segment.type), (slots, int(instance.type)))
            for operation in (("slots",), ("num_free_slots",)):
                self._expect("COUNT-2", spec.step(segment.slots, operation)[1], perform(instance, operation))
        if not self.shared:
            return
        self.segment_names |= self.world.names.keys()
        for segment_name, key in self.world.names.items():
            segment = self.world.segments[key]
            expected = files.mapped(segment.slots, segment.type)
            path = self._object(segment_name)
            found = _read(path)[: len(expected)] if os.path.exists(path) else "no object"
            self._expect("BYTES-1", expected, found)

    def teardown(self) -> None:
        """End both servers, and remove what killed or interrupted ones left."""
        with without_interrupts(), ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            for segment_name in self.segment_names | self.world.names.keys():
                stack.callback(Path(self._object(segment_name)).unlink, missing_ok=True)
            for provider in self.providers.values():
                stack.callback(provider.close)

    def _all_closed(self, server: int) -> None:
        """Check that no instance of an ended server still works."""
        for owner, _, instance in self.instances:
            if owner == server:
                try:
                    instance.num_free_slots()
                    self._expect("ID-2", "Closed", "an answer")
                except Closed:
                    pass
        self.instances = [each for each in self.instances if each[0] != server and not self._is_told(*each[1:])]

    def _is_told(self, key: int, instance: Any) -> bool:
        """Return whether an attacher is told that its segment has ended (ATTACH-9); if not, it has
        the memory as it was.
        """
        return self.world.segments[key].ended and perform(instance, ("num_free_slots",)).status == ENOSHMAVAIL

    def _persisted(self, name: str) -> str:
        found = resolve(name, self.folder, 0)
        assert found is not None
        return found.persisted

    def _object(self, segment_name: str) -> str:
        if segment_name.startswith("/"):
            found = resolve(segment_name, self.folder, 0)
        else:
            name, _, generation = segment_name.rpartition("_")
            found = resolve(name, self.folder, int(generation, 16))
        assert found is not None
        return object_path(found)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def run(
    make_provider: Callable[[str, int], Any],
    *,
    shared: bool,
    examples: int,
    steps: int = 30,
    seed: int | None = None,
    base: str | None = None,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Search for a life that tells provider and specification apart; base is where its files are.

    `tell` is called before each life, and may raise OutOfTime.

    Raises:
        Difference
    """
    traits = {"make_provider": staticmethod(make_provider), "shared": shared, "base": base}
    run_machine(type("ServerMachine", (ServerMachine,), traits), examples, steps, seed, tell)
