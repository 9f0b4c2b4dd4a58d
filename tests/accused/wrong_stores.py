"""Drivers of implementations that store wrongly in one way each: `python wrong_stores.py MISTAKE`,
else right.

The reference, whose `files.store` is another. `MISTAKES` maps each to the case that must catch it,
and what it must say.
"""

import os
import sys
from contextlib import suppress

from slotmem.memory import files, segment
from slotmem_conformance.protocol.driver import main

MISTAKES = {
    "in place": ("STORE-4/killed", "neither the old nor the new"),
    "old file first away": ("STORE-4/killed", "is gone"),
    "destroys first": ("STORE-5/killed", "the segment is gone"),
    "no fsync": ("STORE-5/on-disk", "no fsync between the last write"),
    "no fsync of the folder": ("STORE-5/on-disk", "no fsync of the folder"),
    "syncs too late": ("STORE-5/on-disk", "no fsync between the last write"),
}
_right_store, _right_unlink = files.store, segment.Segment.unlink
_fsync = os.fsync


def _in_place(path, data):
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        file.write(data)
        os.fsync(file.fileno())
    files._sync_folder(path)


def _gone_first(path, data):
    with suppress(FileNotFoundError):
        os.unlink(path)
    _right_store(path, data)


def _without_fsync(path, data):
    os.fsync = lambda fd: None
    _right_store(path, data)


def _without_folder(path, data):
    files._sync_folder = lambda path: None
    _right_store(path, data)


def _after_its_end(made):
    _right_unlink(made)
    os.sync()


def _destroy_first(made, instance):
    payload = instance.algorithm().snapshot()
    made.unlink()
    files.store(made.names.persisted, files.encode(made.shape, payload))


def spoil(mistake):
    """Make the reference of this process store wrongly."""
    from slotmem import shm

    match mistake:
        case "in place":
            files.store = _in_place
        case "old file first away":
            files.store = _gone_first
        case "destroys first":
            shm._destroy = _destroy_first
        case "no fsync":
            files.store = _without_fsync
        case "no fsync of the folder":
            files.store = _without_folder
        case "syncs too late":
            files.store, segment.Segment.unlink = _without_fsync, _after_its_end


if __name__ == "__main__":
    spoil(sys.argv[1])
    sys.exit(main(["shm"]))
