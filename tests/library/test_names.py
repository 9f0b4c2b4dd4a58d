"""From a slotmem's name to the names of its segment, object and file."""

import os

import pytest

from slotmem import InvalidName, WrongType
from slotmem.memory import generations
from slotmem.memory.names import resolve, shm_object_name


@pytest.mark.parametrize("name", [None, "", "none", "NONE", "None"])
def test_anonymous_names(name):
    """NAME-1: NULL, the empty name and "none" in any case mean memory without a name."""
    assert resolve(name, "/run", 0) is None


def test_relative_name():
    """NAME-2, NAME-4: a relative name lies under the runtime directory, the generation in
    hexadecimal in the segment name only.
    """
    found = resolve("foo", "/run/x", 26)
    assert found.segment == "/run/x/slotmem-shm-foo_1a.shm"
    assert found.persisted == "/run/x/slotmem-shm-foo.shm.persist"


def test_absolute_name():
    """NAME-3, NAME-5: an absolute name is its own segment name in every generation, and its file
    has .persist behind it.
    """
    for generation in (0, 5):
        found = resolve("/var/tmp/table", "/run/x", generation)
        assert (found.segment, found.persisted) == ("/var/tmp/table", "/var/tmp/table.persist")


@pytest.mark.parametrize(
    ("segment", "shm_object"),
    [
        ("/x/slotmem-shm-foo_0.shm", "/ShM.69c64be2Hc77bb34"),
        ("/run/apache2/slotmem-shm-balancer_1f.shm", "/ShM.be8d8cddH16193b65"),
        ("/tmp/grüße_a", "/ShM.40a38c6eHde6d5adc"),
        ("/" + "z" * 100, "/ShM.a3d022d7H452480ff"),
    ],
)
def test_object_name(segment, shm_object):
    """NAME-6: the object's name is the one that APR 1.7.2 gave these segment names."""
    assert shm_object_name(segment) == shm_object


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "nul\0byte", "/nul\0byte", "\ud800", "/", "/a/"])
def test_refused_names(name):
    """NAME-7: a name that climbs, has a NUL byte or no encoding, or names nothing is refused."""
    with pytest.raises(InvalidName, match=r"without|leave it out|use other characters|put a name behind it"):
        resolve(name, "/run", 0)


def test_too_long_name():
    """A name whose file name would be too long is refused, one byte less is not."""
    longest = 255 - len(".bad-99999") - len("slotmem-shm-.shm.persist")
    assert resolve("n" * longest, "/run", 0) is not None
    with pytest.raises(InvalidName, match="too long"):
        resolve("n" * (longest + 1), "/run", 0)


def test_dots_that_do_not_climb():
    """Dots inside a name are letters like any other."""
    assert resolve("a..b", "/run", 0).segment.endswith("slotmem-shm-a..b_0.shm")


def test_wrong_type():
    """A name that is not a str is refused."""
    with pytest.raises(WrongType, match="str or None"):
        resolve(os.fsencode("x"), "/run", 0)


def test_generations_are_told_apart():
    """No two generations of a name have endings of one length and one hash."""
    assert sum(map(len, generations._endings().values())) == generations.GENERATIONS
