"""Waiting for a slot beside an event loop of asyncio.

Interface: `grab_async(algorithm, timeout_s)` waits in a thread of its own, not in one of the
loop's executor, whose threads may be what releases the slots.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from slotmem.slots import Slots
from slotmem.status import Closed, NoFreeSlot


async def grab_async(algorithm: Slots, timeout_s: float | None) -> int:
    """Grab a slot as soon as one is free (WAITING-3). Cancelled, it leaves no slot grabbed.

    Raises:
        NoFreeSlot
    """
    try:
        return algorithm.grab()
    except NoFreeSlot:
        pass
    loop = asyncio.get_running_loop()
    given: asyncio.Future[int] = loop.create_future()
    over = threading.Event()

    def give_back(item_id: int) -> None:
        with suppress(Closed):
            algorithm.release(item_id)

    def deliver(item_id: int | None, error: BaseException | None) -> None:
        if error is not None:
            if not given.done():
                given.set_exception(error)
        elif item_id is not None:
            if given.done():  # cancelled
                give_back(item_id)
            else:
                given.set_result(item_id)

    def work() -> None:
        item_id, error = None, None
        try:
            item_id = algorithm.grab_later(timeout_s, over.is_set)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(deliver, item_id, error)
        except RuntimeError:  # the loop is closed: nobody is left to have it
            if item_id is not None:
                give_back(item_id)

    threading.Thread(target=work, name="slotmem grab_async", daemon=True).start()
    try:
        return await given
    except asyncio.CancelledError:
        over.set()
        if given.done() and not given.cancelled() and given.exception() is None:  # both came at once
            give_back(given.result())
        raise
