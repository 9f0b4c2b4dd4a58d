"""Kills at each access, and who has the slots afterwards.

Interface: `states_of_owners(operation, pregrab, algorithm)` lets a child die at each access of an
operation, and returns what is wrong with the owners that another process then finds.
"""

import os

from slotmem.owners import owner_of
from slotmem.processes import ME, process_id
from slotmem_model import spec
from tools.crashing import Trial


def states_of_owners(operation, pregrab, algorithm):
    """Return the findings; this process has slot 0, and slots 1 to 3 are free."""
    state = spec.Slots(9, pregrab, (True, False, False, False), (bytes(9),) * 4)
    findings, fatal, died = [], 0, True
    while died:
        fatal += 1
        trial = Trial(state, algorithm)
        trial.image.tenants[0] = ME[0]
        died = trial.kill_at(operation, fatal)
        found = _wrong(trial.slots())
        findings += [f"{operation} dead at {fatal}: {each}" for each in found]
    return findings


def _wrong(slots):
    for item_id in range(slots.item_num):
        owner = owner_of(slots, item_id)
        if item_id in set(slots.slots()):
            expected = "this process" if item_id == 0 else "the dead one"
            is_mine = owner is not None and process_id(owner.token) == os.getpid()
            if owner is None or is_mine != (item_id == 0):
                yield f"slot {item_id} is in use by {owner}, not by {expected}"
        elif slots.tenants[item_id]:
            yield f"slot {item_id} is free, and {slots.tenants[item_id]} has it"
