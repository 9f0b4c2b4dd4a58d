"""The recorder turns an operation into its graph of steps, exactly, or says why it cannot."""

import pytest

from slotmem_model.automata import recording
from slotmem_model.automata.accesses import EBUSY, EDEADLK, EPERM, Access
from slotmem_model.automata.graph import IMPOSSIBLE
from slotmem_model.automata.kind import Leaf, NotAFunction, Place, TooLarge
from slotmem_model.automata.recording import tabulate
from slotmem_model.automata.shared_words import FREE, HELD, geometry, words_of
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.spec import SUCCESS, Result

SHAPE = geometry(item_size=2, item_num=1)


class Refused(Exception):
    """An error of an operation."""

    class status:  # noqa: N801
        name = "APR_NOTFOUND"


def graph(operation, possible=None, robust=True, **others):
    """Tabulate a function of an image, over a segment of one slot and the words x and y of three
    values.
    """
    map_ = words_of(SHAPE, values=3, slack=1, extra=(("x", 3), ("y", 3)))
    everything = [frozenset(range(len(word.values))) for word in map_.words]
    for mutex in map_.mutexes:
        everything[mutex] = frozenset({FREE, HELD})  # nobody dies here
    for name, values in (possible or {}).items():
        everything[map_.extra[name]] = frozenset(values)

    class Algorithm:
        def __init__(self, image):
            self.image = image

        def run(self):
            return operation(self.image, self.image.extra["x"], self.image.extra["y"])

    return tabulate(Algorithm, Place(SlotsKind(SHAPE, map_, robust), tuple(everything), **others), ("run",))


def nodes(graph):
    return [node for node in graph.nodes if not isinstance(node, Leaf)]


def leaves(graph):
    return [node for node in graph.nodes if isinstance(node, Leaf)]


def results(graph):
    return {leaf.result.value for leaf in leaves(graph) if leaf.result}


def walk(graph, *values):
    """Follow the graph for what its words hold at each step; give the accesses' kinds and
    the leaf.
    """
    at, kinds = graph.nodes[graph.root], []
    for value in values:
        kinds.append(at.access.kind)
        at = graph.nodes[at.moves[value][1]]
    return kinds, at


# -- what a graph is -------------------------------------------------------------------------------


def test_every_answer_is_followed():
    """A load has one successor for each value; the operation's result depends on it."""
    made = graph(lambda image, x, y: x[0] * 10 + y[0])
    assert results(made) == {0, 1, 2, 10, 11, 12, 20, 21, 22}
    assert walk(made, 2, 1) == (["load", "load"], Leaf(Result(SUCCESS, 21)))


def test_a_store_changes_the_word_whatever_it_held():
    """Its new value is the same for each old one, and there is one successor."""
    made = graph(lambda image, x, y: x.__setitem__(0, 2))
    (node,) = nodes(made)
    assert node.access.kind == "store"
    assert [value for value, _ in node.moves] == [2, 2, 2]
    assert len({to for _, to in node.moves}) == 1


def test_steps_with_the_same_future_are_one():
    """After a load whose value makes no difference there is one node, not three."""

    def forgets(image, x, y):
        x[0]
        y[0] = 1

    def remembers(image, x, y):
        y[0] = x[0]

    assert len(nodes(graph(forgets))) == 2
    assert len(nodes(graph(remembers))) == 4


def test_a_value_that_a_word_never_has_is_not_followed():
    """It is marked impossible; nothing is tabulated for it."""
    made = graph(lambda image, x, y: x[0], possible={"x": {0, 1}})
    assert results(made) == {0, 1}
    assert nodes(made)[0].moves[2] == IMPOSSIBLE


def test_locked_operations_read_and_write_in_one_step():
    """Compare-and-swap writes only where the word is as expected; add answers the old value."""
    made = graph(lambda image, x, y: image.compare_and_swap(image.cell(x, 0), 1, 2))
    assert [value for value, _ in nodes(made)[0].moves] == [0, 2, 2]
    assert results(made) == {True, False}
    made = graph(lambda image, x, y: image.fetch_add(image.cell(x, 0), 1), possible={"x": {0, 1}})
    assert [value for value, _ in nodes(made)[0].moves[:2]] == [1, 2]
    assert results(made) == {0, 1}


def test_slices_are_one_step_a_byte_and_find_stops_at_the_first():
    """A slot of two bytes is read in two steps; the scan of in-use bytes reads no further than it
    must.
    """
    made = graph(lambda image, x, y: image.memory[32:34])
    assert walk(made, 1, 2) == (["load", "load"], Leaf(Result(SUCCESS, b"\1\2")))
    made = graph(lambda image, x, y: image.memory.find(b"\0", 32, 34))
    assert walk(made, 0) == (["load"], Leaf(Result(SUCCESS, 32)))
    assert walk(made, 1, 1) == (["load", "load"], Leaf(Result(SUCCESS, -1)))


# -- locks -----------------------------------------------------------------------------------------


def test_trylock_answers_and_lock_waits():
    """On a mutex that is held trylock goes on with EBUSY; lock has no move."""
    trying = graph(lambda image, x, y: image.trylock(image.mutexes[0]))
    assert results(trying) == {0, EBUSY}
    waiting = graph(lambda image, x, y: image.lock(image.mutexes[0]))
    (node,) = nodes(waiting)
    assert node.moves[HELD] is None
    assert node.moves[FREE][0] == HELD


def test_a_wait_may_take_too_long_only_if_the_configuration_says_so():
    """With timeouts a lock has a second way on, which ends the operation with APR_TIMEUP."""

    def locks(image, x, y):
        image.lock(image.mutexes[0])

    (node,) = nodes(graph(locks))
    assert node.timeout is None
    made = graph(locks, timeouts=True)
    (node,) = nodes(made)
    assert made.nodes[node.timeout] == Leaf(Result("APR_TIMEUP"))


def test_the_mutexes_held_are_known_at_each_step():
    """They are what a death changes; a plain mutex is not changed by one."""

    def holds(image, x, y):
        image.lock(image.mutexes[0])
        x[0] = 1
        image.unlock(image.mutexes[0])
        x[0] = 2

    held = {(node.access.kind, node.access.argument): node.held for node in nodes(graph(holds))}
    assert held["store", 1] != ()
    assert held["store", 2] == ()
    assert all(node.held == () for node in nodes(graph(holds, robust=False)))


def test_ones_own_mutex_is_refused_without_a_step():
    """Locking what is held is EDEADLK, unlocking what is not is EPERM; nobody else can see
    either.
    """
    assert results(graph(lambda image, x, y: image.unlock(image.mutexes[0]))) == {EPERM}

    def twice(image, x, y):
        if image.trylock(image.mutexes[0]) == 0:
            return image.trylock(image.mutexes[0]), image.lock(image.mutexes[0])
        return None

    assert (EDEADLK, EDEADLK) in results(graph(twice))
    assert len(nodes(graph(twice))) == 1


# -- ends and faults -------------------------------------------------------------------------------


def test_an_error_with_a_status_is_an_answer_and_any_other_a_fault():
    """APR's errors are results; a bug in the algorithm is told as what it raised."""

    def fails(image, x, y):
        if x[0]:
            raise Refused
        return 1 // 0

    said = {leaf.result or leaf.fault for leaf in leaves(graph(fails, possible={"x": {0, 1}}))}
    assert {Result("APR_NOTFOUND")} < said
    assert any(str(fault).startswith("raised ZeroDivisionError") for fault in said)


def test_a_store_outside_the_words_domain_ends_in_a_fault():
    """It is neither folded back nor a step that waits: the leaf names the word."""

    def stores(image, x, y):
        x[0] = 3
        y[0] = 1

    made = graph(stores)
    assert [leaf.fault for leaf in leaves(made)] == ["store to x of 3, which is no value that it has in the model"]
    assert [node.access.kind for node in nodes(made)] == ["store"]


def test_only_the_values_that_lead_outside_do():
    """An addition that leaves the domain from 2 is an ordinary step from 0 and 1."""
    made = graph(lambda image, x, y: image.fetch_add(image.cell(x, 0), 1))
    assert walk(made, 0)[1] == Leaf(Result(SUCCESS, 0))
    assert walk(made, 2)[1].fault == "add to x of 3, which is no value that it has in the model"


def test_a_negative_store_is_an_error_of_the_algorithm():
    """Words are unsigned, as in real memory."""
    (leaf,) = leaves(graph(lambda image, x, y: x.__setitem__(0, -1)))
    assert leaf.fault == "raised ValueError: a word is unsigned, got -1"


def test_nothing_happens_after_the_stop():
    """`except Exception` does not catch it, and what `finally` does is no step and gives no lock
    back.
    """

    def stubborn(image, x, y):
        image.lock(image.mutexes[0])
        try:
            x[0] = 3
        except Exception:
            y[0] = 1
        finally:
            y[0] = 2
            assert image.unlock(image.mutexes[0]) == EPERM

    assert [node.access.kind for node in nodes(graph(stubborn, possible={"x": {0}}))] == ["store", "lock"]


# -- what cannot be tabulated ----------------------------------------------------------------------


def test_an_operation_that_does_not_always_do_the_same_is_refused():
    """Whatever it remembers between runs shows as another access for the same answers."""
    calls = []

    def moody(image, x, y):
        calls.append(1)
        return (x if len(calls) % 2 else y)[0]

    with pytest.raises(NotAFunction, match="does not always do the same"):
        graph(moody)


def test_too_many_steps_are_an_error(monkeypatch):
    """The limit is an error that says what to take less of."""
    monkeypatch.setattr(recording, "MAX_NODES", 5)
    with pytest.raises(TooLarge, match="more than 5 different steps; take fewer slots"):
        graph(lambda image, x, y: x[0] * 10 + y[0])


# -- loops -----------------------------------------------------------------------------------------


def spin(image, x, y):
    while x[0] != 1:
        image.retry()
    y[0] = 1


def spin_on_both(image, x, y):
    while (x[0], y[0]) != (1, 1):
        image.retry()
    y[0] = 2


def test_a_loop_that_forgets_is_an_edge_back():
    """The second repetition leads back to its beginning for the values that repeat, and on for the
    others.
    """
    made = graph(spin_on_both)
    assert walk(made, 0, 0, 2, 1, 1, 0, 1, 1, 0) == (["load"] * 8 + ["store"], Leaf(Result(SUCCESS)))
    assert len(nodes(made)) == 7  # four loads of the first repetition's two words, two of the second's, and the store


def test_to_try_again_until_a_word_changes_is_to_wait():
    """A repetition of a single step that changes nothing has no move: if nobody else can go on,
    that is a deadlock.
    """
    made = graph(spin)
    first = made.nodes[made.root]
    head = made.nodes[first.moves[0][1]]
    assert head == made.nodes[first.moves[2][1]]
    assert (head.access, head.moves[0], head.moves[2]) == (first.access, None, None)
    assert made.nodes[head.moves[1][1]].access == Access("store", head.access.word + 1, 1)


def test_a_loop_is_entered_from_any_beginning():
    """What was done before the loop, and forgotten, leaves no trace in it."""

    def begins(image, x, y):
        y[0] = 1
        spin(image, x, y)

    assert walk(graph(begins), 0, 0, 1, 0)[0] == ["store", "load", "load", "store"]


def test_a_loop_that_remembers_is_refused():
    """If what was read before the loop shows after it, there is no one place to go back to."""

    def remembers(image, x, y):
        first = y[0]
        while x[0] != 1:
            image.retry()
        return first

    with pytest.raises(NotAFunction, match="remembers what it read before"):
        graph(remembers)


def test_a_wait_in_a_loop_may_take_too_long():
    """A timeout's edge is there in each repetition."""

    def waits(image, x, y):
        while True:
            image.lock(image.mutexes[0])
            if x[0]:
                return
            image.unlock(image.mutexes[0])
            image.retry()

    made = graph(waits, timeouts=True)
    locks = [node for node in nodes(made) if node.access.kind == "lock"]
    assert locks
    assert all(made.nodes[node.timeout] == Leaf(Result("APR_TIMEUP")) for node in locks)


@pytest.mark.parametrize("limit", [2, 3, 5, 7])
def test_a_loop_that_counts_its_repetitions_is_refused(limit):
    """One that gives up after some attempts does not go on for ever, and must not be taken for one
    that does.
    """

    def gives_up(image, x, y):
        for _ in range(limit):
            if x[0] == 1:
                return True
            image.retry()
        return False

    with pytest.raises(NotAFunction, match="does not do the same in each repetition"):
        graph(gives_up)


def test_a_loop_that_takes_a_lock_more_each_time_is_refused():
    """The locks held at the beginning of a repetition are part of what must be the same."""

    def takes(image, x, y):
        while image.trylock(image.mutexes[0]) != 1:
            image.retry()

    with pytest.raises(NotAFunction, match="does not do the same in each repetition"):
        graph(takes)
