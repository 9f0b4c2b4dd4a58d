"""What an implementation must do, clause by clause: the one place where requirements are written.

Interface:

- `CLAUSES` maps ids to `Clause`s; `PROFILES` gives the profiles in order, `OWN_PROFILES` those that
  the conformance suite does not ask for.
- `to_markdown()` is the text of CLAUSES.md; `python -m slotmem_model.clauses` prints it.

Levels: *must* (what breaks it does not conform), *should* (recommended, not required), *info*
(worth knowing, not judged). Sources: *documentation*, the page of mod_slotmem_shm; *header*,
ap_slotmem.h; *observed*, the behaviour of httpd 2.4's unmodified binary; *slotmem*, required by
this project where httpd's module promises nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Profile = Literal["core", "httpd", "safe", "atomic", "robust", "durable", "python", "owners"]
Level = Literal["must", "should", "info"]
Source = Literal["documentation", "header", "observed", "slotmem"]

PROFILES: dict[Profile, str] = {
    "core": "the documented interface, in one process",
    "httpd": "httpd 2.4's details: status codes, lowest free slot, names, generations, file bytes",
    "safe": "bad input gets an error and changes nothing",
    "atomic": "concurrent operations are linearizable",
    "robust": "SIGKILL anywhere: nothing stuck, nothing torn, counters right",
    "durable": "a persisted file is always the old or the new one, and a bad one is never lost",
    "python": "beyond Apache's interface: a slot is read and written in one step",
}

OWN_PROFILES: dict[Profile, str] = {
    "owners": "who has a slot, and waiting for one; the library's own tests hold it to that, nobody else is asked",
}


class Clause(NamedTuple):
    """One requirement."""

    id: str
    sentence: str
    profile: Profile
    level: Level
    source: Source


def _clauses(*rows: tuple[str, Profile, Level, Source, str]) -> dict[str, Clause]:
    return {id: Clause(id, sentence, profile, level, source) for id, profile, level, source, sentence in rows}


CLAUSES: dict[str, Clause] = _clauses(
    # Names
    ("NAME-1", "core", "must", "documentation", 'A NULL name, "" and "none" (any case) mean anonymous memory.'),
    ("NAME-2", "core", "must", "documentation", "A relative name lies under the runtime directory."),
    ("NAME-3", "core", "must", "documentation", "An absolute name is taken as it is, in every generation."),
    (
        "NAME-4",
        "httpd",
        "must",
        "observed",
        "The segment of a relative name is <runtime dir>/slotmem-shm-NAME_<generation in hexadecimal>.shm, its file <runtime dir>/slotmem-shm-NAME.shm.persist.",
    ),
    ("NAME-5", "httpd", "must", "observed", "The file of an absolute name is the name with .persist appended."),
    (
        "NAME-6",
        "httpd",
        "must",
        "observed",
        "The shared object is named /ShM.<a>H<b> by two 32-bit hashes of the segment name, as APR does it.",
    ),
    (
        "NAME-7",
        "safe",
        "must",
        "slotmem",
        "A relative name that climbs out of the runtime directory, or a name with a NUL byte, is refused with APR_EINVAL.",
    ),
    ("NAME-8", "core", "must", "documentation", "Segments of different names have nothing in common."),
    # Create
    ("CREATE-1", "core", "must", "documentation", "create makes a segment of item_num slots of item_size bytes."),
    ("CREATE-2", "core", "must", "observed", "In a fresh segment every slot is free and every byte zero."),
    (
        "CREATE-3",
        "httpd",
        "must",
        "observed",
        "create of a name that this server has created gives the same segment; the other arguments are ignored.",
    ),
    ("CREATE-4", "httpd", "must", "observed", "item_num 0 and item_size 0 are accepted."),
    (
        "CREATE-5",
        "robust",
        "must",
        "slotmem",
        "create of a name whose segment another process has open fails with APR_EEXIST and changes nothing.",
    ),
    ("CREATE-6", "robust", "must", "slotmem", "create replaces a segment that a crash left behind."),
    (
        "CREATE-7",
        "atomic",
        "must",
        "slotmem",
        "Of several processes that create a name at once exactly one succeeds, and the others can attach.",
    ),
    ("CREATE-8", "atomic", "must", "slotmem", "At every instant a name leads to a complete segment or to none."),
    (
        "CREATE-9",
        "safe",
        "must",
        "slotmem",
        "A size that overflows 64 bits is refused with APR_EINVAL, one that the machine cannot hold with APR_ENOSPC, at create.",
    ),
    (
        "CREATE-10",
        "safe",
        "should",
        "slotmem",
        "Shared objects and persisted files are made with mode 0600, folders with 0700.",
    ),
    # Attach
    (
        "ATTACH-1",
        "core",
        "must",
        "documentation",
        "attach opens an existing segment and gives its item_size and item_num.",
    ),
    ("ATTACH-2", "httpd", "must", "observed", "attach to a name that this server created gives the same segment."),
    ("ATTACH-3", "httpd", "must", "observed", "attach to a name that nobody created fails with APR_ENOENT."),
    ("ATTACH-4", "httpd", "must", "observed", "attach to the names of anonymous memory fails with APR_ENOSHMAVAIL."),
    (
        "ATTACH-5",
        "safe",
        "must",
        "slotmem",
        "attach refuses a segment whose bytes contradict themselves, or are fewer than they say, with APR_EMISMATCH.",
    ),
    (
        "ATTACH-6",
        "safe",
        "must",
        "slotmem",
        "attach refuses a symlink, anything that is not a plain file, and another user's object with APR_EACCES.",
    ),
    (
        "ATTACH-7",
        "robust",
        "must",
        "slotmem",
        "attach refuses a segment whose locks were made in another boot or pid namespace with APR_EMISMATCH.",
    ),
    (
        "ATTACH-8",
        "httpd",
        "must",
        "observed",
        "Whoever is attached keeps the memory of a segment whose server has ended, as it was, or is told so (ATTACH-9); with CLEARINUSE its marks may be cleared.",
    ),
    (
        "ATTACH-9",
        "safe",
        "must",
        "slotmem",
        "Once a server has closed or restarted a segment, operations of whoever is attached fail with APR_ENOSHMAVAIL: nobody would see what they store.",
    ),
    # Foreign segments
    (
        "FOREIGN-1",
        "safe",
        "must",
        "slotmem",
        "A segment without locks can be read, and a get does not mark its slots.",
    ),
    (
        "FOREIGN-2",
        "safe",
        "must",
        "slotmem",
        "Writing to a segment without locks fails with APR_EACCES unless the caller insisted at attach.",
    ),
    # Ids and lengths
    (
        "ID-1",
        "core",
        "must",
        "observed",
        "An id that is not in 0..item_num-1 is refused with APR_EINVAL by every operation.",
    ),
    ("ID-2", "safe", "must", "slotmem", "An operation on a closed instance fails with APR_ENOSHMAVAIL."),
    (
        "ID-3",
        "safe",
        "must",
        "slotmem",
        "An id far out of range, up to 4294967295 and down to -1, is refused with APR_EINVAL like any other, and crashes nobody.",
    ),
    # Grab, fgrab, release
    ("GRAB-1", "core", "must", "documentation", "grab marks a free slot in use and gives its id."),
    ("GRAB-2", "httpd", "must", "observed", "grab gives the lowest free slot."),
    ("GRAB-3", "core", "must", "documentation", "grab copies nothing: the slot's contents stay."),
    ("GRAB-4", "httpd", "must", "observed", "grab with every slot in use fails with APR_EINVAL."),
    ("FGRAB-1", "core", "must", "header", "fgrab marks the given slot in use."),
    ("FGRAB-2", "httpd", "must", "observed", "fgrab of a slot in use succeeds and changes nothing."),
    ("RELEASE-1", "core", "must", "documentation", "release marks the slot free."),
    ("RELEASE-2", "core", "must", "documentation", "release copies nothing: the slot's contents stay."),
    ("RELEASE-3", "httpd", "must", "observed", "release of a free slot fails with APR_NOTFOUND."),
    # Get, put
    ("GET-1", "core", "must", "documentation", "get gives the slot's first nbytes bytes."),
    (
        "GET-2",
        "httpd",
        "must",
        "observed",
        "With PREGRAB, get of a free slot fails with APR_NOTFOUND and copies nothing.",
    ),
    ("GET-3", "core", "must", "observed", "get of fewer bytes than a slot has gives just those."),
    ("GET-4", "httpd", "must", "observed", "Without PREGRAB, get marks the slot in use."),
    (
        "GET-5",
        "safe",
        "must",
        "slotmem",
        "get of more bytes than a slot has, or of a negative number, is refused with APR_EINVAL.",
    ),
    ("PUT-1", "core", "must", "documentation", "put copies bytes to the beginning of the slot."),
    (
        "PUT-2",
        "httpd",
        "must",
        "observed",
        "With PREGRAB, put to a free slot fails with APR_NOTFOUND and copies nothing.",
    ),
    ("PUT-3", "core", "must", "observed", "put of fewer bytes than a slot has leaves the rest of it as it was."),
    ("PUT-4", "httpd", "must", "observed", "Without PREGRAB, put marks the slot in use."),
    (
        "PUT-5",
        "safe",
        "must",
        "slotmem",
        "put of more bytes than a slot has is refused with APR_EINVAL and changes nothing.",
    ),
    # Read and written in one step
    (
        "UPDATE-1",
        "python",
        "must",
        "slotmem",
        "compare_and_put puts if the slot begins with what is expected, and says whether it did.",
    ),
    (
        "UPDATE-2",
        "python",
        "must",
        "slotmem",
        "compare_and_put is refused where a put of these bytes, or of the expected ones, would be, and marks a slot as get and put do.",
    ),
    (
        "UPDATE-3",
        "python",
        "must",
        "slotmem",
        "Nobody writes to the slot between the look and the put of compare_and_put.",
    ),
    # Walks, pointers, counters
    ("DOALL-1", "core", "must", "documentation", "doall calls the callback on the slots in ascending order."),
    ("DOALL-2", "httpd", "must", "observed", "With PREGRAB doall visits the slots in use, without it all slots."),
    ("DOALL-3", "core", "must", "header", "doall stops at the first status other than success, and gives it."),
    (
        "DPTR-1",
        "core",
        "must",
        "documentation",
        "dptr gives the slot's own memory: a get reads what is written there, and what a put writes is read there.",
    ),
    ("COUNT-1", "core", "must", "documentation", "num_slots and slot_size give item_num and item_size."),
    ("COUNT-2", "core", "must", "header", "num_free_slots gives the number of slots that are not in use."),
    (
        "COUNT-3",
        "httpd",
        "info",
        "observed",
        "Without PREGRAB httpd's stored counter drifts, since get and put mark without counting; it counts the in-use bytes instead.",
    ),
    # All of it
    (
        "STATE-1",
        "core",
        "must",
        "slotmem",
        "In every state that a segment can be in, however it got there, each operation does what its clauses of the profile core say.",
    ),
    ("STATE-2", "httpd", "must", "slotmem", "The same for the clauses of the profiles core and httpd together."),
    ("STATE-3", "safe", "must", "slotmem", "The same for the clauses of the profiles core and safe together."),
    # Bytes
    (
        "BYTES-1",
        "httpd",
        "must",
        "observed",
        "The mapped bytes are APR's u64 length, u64 item_size, u32 item_num, u32 type, u32 num_free, 4 bytes of zero, the slots, one in-use byte (0 or 1) a slot.",
    ),
    (
        "BYTES-2",
        "httpd",
        "must",
        "observed",
        "The persisted file is everything from num_free on, the MD5 of that, and the 16 bytes of the descriptor.",
    ),
    (
        "BYTES-3",
        "httpd",
        "must",
        "observed",
        "Bytes beyond APR's length are not part of the segment and do no harm.",
    ),
    # Store and restore
    ("STORE-1", "core", "must", "documentation", "With PERSIST, restart and clean stop store the segment in its file."),
    (
        "STORE-2",
        "core",
        "must",
        "observed",
        "Without PERSIST nothing is stored, anonymous memory never is, and an attacher stores nothing.",
    ),
    ("STORE-3", "core", "must", "header", "With CLEARINUSE every slot is stored as free; contents stay."),
    (
        "STORE-4",
        "durable",
        "must",
        "slotmem",
        "Storing is atomic: after a crash at any moment the file is the old one or the new one.",
    ),
    ("STORE-5", "durable", "must", "slotmem", "The new file and its name are on disk before its segment is destroyed."),
    ("STORE-6", "durable", "must", "slotmem", "What is stored is a state that the segment was in at one instant."),
    (
        "RESTORE-1",
        "core",
        "must",
        "documentation",
        "create with PERSIST restores what was stored under the name: slots, in-use flags, counter.",
    ),
    (
        "RESTORE-2",
        "durable",
        "must",
        "slotmem",
        "A file is restored only if its length, MD5, shape and flags match exactly; otherwise the segment starts fresh, and create succeeds.",
    ),
    (
        "RESTORE-3",
        "durable",
        "must",
        "slotmem",
        "A file that does not match is kept under another name, and a warning says where.",
    ),
    (
        "RESTORE-4",
        "safe",
        "must",
        "slotmem",
        "At the path of the persisted file, a symlink, anything that is not a plain file, and another user's file are refused with APR_EACCES.",
    ),
    # Restart, death
    (
        "RESTART-1",
        "core",
        "must",
        "documentation",
        "restart and clean stop end every segment of the server; a later create makes it anew.",
    ),
    (
        "RESTART-2",
        "core",
        "must",
        "documentation",
        "After restart or clean stop the names of the server's segments lead nowhere.",
    ),
    ("RESTART-3", "httpd", "must", "observed", "restart begins the next generation."),
    (
        "KILL-1",
        "httpd",
        "must",
        "observed",
        "A server that is killed stores nothing; its segments remain until the next create of their names.",
    ),
    (
        "KILL-2",
        "robust",
        "must",
        "slotmem",
        "After SIGKILL at any moment each operation has happened wholly or not at all.",
    ),
    (
        "KILL-3",
        "robust",
        "must",
        "slotmem",
        "After SIGKILL at any moment the others can do every operation: no lock stays with the dead.",
    ),
    ("KILL-4", "robust", "must", "slotmem", "After SIGKILL at any moment num_free_slots is the number of free slots."),
    # Concurrency
    (
        "ATOMIC-1",
        "atomic",
        "must",
        "slotmem",
        "grab, fgrab, release, get, put and num_free_slots of any number of processes and threads are linearizable.",
    ),
    ("ATOMIC-2", "atomic", "must", "slotmem", "A grabbed slot is given to nobody else until it is released."),
    ("ATOMIC-3", "atomic", "must", "slotmem", "A get never sees a part of a put."),
    (
        "ATOMIC-4",
        "atomic",
        "info",
        "slotmem",
        "doall looks at one slot after the other; as a whole it does not happen at one instant.",
    ),
    ("ATOMIC-5", "atomic", "info", "slotmem", "Reads and writes through dptr take no lock."),
    (
        "SIGNAL-1",
        "robust",
        "must",
        "slotmem",
        "An exception from a signal handler at any moment leaves no lock held and no data torn.",
    ),
    (
        "WAIT-1",
        "robust",
        "should",
        "slotmem",
        "A wait for a lock can be bounded; then it ends with APR_TIMEUP and names the holder where it can be known.",
    ),
    (
        "OWNER-1",
        "owners",
        "must",
        "slotmem",
        "The owner of a slot is the process that marked it in use, until it is free; whoever dies leaves no wrong one.",
    ),
    (
        "OWNER-2",
        "owners",
        "must",
        "slotmem",
        "A slot counts as put since it was grabbed only if it was; a put of its owner counts.",
    ),
    (
        "REAP-1",
        "owners",
        "must",
        "slotmem",
        "reap releases the slots of the dead and no others; a process with the id of a dead one is not that one.",
    ),
    ("WAITING-1", "owners", "must", "slotmem", "A grab that waits takes a slot that is freed, or fails in time."),
    (
        "WAITING-2",
        "owners",
        "must",
        "slotmem",
        "A slot grabbed for a block is released at its end, if it is still its own.",
    ),
    (
        "WAITING-3",
        "owners",
        "must",
        "slotmem",
        "To wait beside an event loop does not block it, and cancelled keeps no slot.",
    ),
)


def to_markdown() -> str:
    """Return the table of clauses as Markdown, by profile."""
    lines = [
        "# The clauses",
        "",
        "Generated by `python -m slotmem_model.clauses` from `model/slotmem_model/clauses.py`; edit that.",
        "",
        *(line.strip() for line in (__doc__ or "").split("\n\n")[-1].strip().splitlines()),
    ]
    for profile, meaning in (PROFILES | OWN_PROFILES).items():
        lines += ["", f"## {profile}: {meaning}", "", "| id | level | clause | source |", "|---|---|---|---|"]
        for clause in CLAUSES.values():
            if clause.profile == profile:
                lines.append(f"| {clause.id} | {clause.level} | {clause.sentence} | {clause.source} |")
    return "\n".join(lines) + "\n"


def check_table() -> None:
    """Check that every row of the table is well-formed.

    Raises:
        ValueError: naming the clause that is not.
    """
    for clause in CLAUSES.values():
        if (
            clause.profile not in PROFILES | OWN_PROFILES
            or clause.level not in get_args(Level)
            or clause.source not in get_args(Source)
            or not clause.sentence.endswith(".")
        ):
            raise ValueError(f"clause {clause.id} is malformed: {clause}")


if __name__ == "__main__":
    check_table()
    print(to_markdown(), end="")
