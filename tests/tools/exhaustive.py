"""The judge's judge: is a tiny history linearizable? Every order is tried, and nothing is clever.

It shares no code with the judges but the pairing of events.
"""

from slotmem_model.judge.events import History


def is_linearizable(events, initial, step, tick=1):
    """Return whether some order of the calls that respects real time gives the results that were
    seen.

    The clock ticks once in `tick` events. Within a tick, only what one process does is in order.
    """
    calls = History.from_events(events).calls

    def precedes(one, other):
        is_over = one.returned is not None and one.returned // tick < other.invoked // tick
        return is_over or (one.process == other.process and one.invoked < other.invoked)

    def can_go_on(state, left):
        if all(calls[number].is_pending for number in left):
            return True
        for number in left:
            call = calls[number]
            if any(precedes(calls[other], call) for other in left):
                continue  # another one was over before this one began
            for after, result in step(state, call.operation):
                if (call.is_pending or result == call.result) and can_go_on(after, left - {number}):
                    return True
        return False

    return can_go_on(initial, frozenset(range(len(calls))))
