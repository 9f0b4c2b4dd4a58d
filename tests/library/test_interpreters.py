"""Other interpreters: without a global lock it is refused, and subinterpreters may use it."""

import importlib
import importlib.util
import sys
import textwrap

import pytest

import slotmem

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


@pytest.mark.parametrize(
    "make", [lambda: slotmem.provider("shm"), lambda: slotmem.provider("plain"), lambda: slotmem.Lock("x")]
)
def test_without_a_global_lock_it_is_refused(make, monkeypatch):
    """Before anything is touched."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(slotmem.Unsupported, match="was never tried; set PYTHON_GIL=1, or use the ordinary build"):
        make()


def test_a_subinterpreter_shares_a_segment(tmp_path):
    """What it put is there for the main one, and the other way round."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        if importlib.util.find_spec(name):
            interpreters = importlib.import_module(name)
            break
    else:
        pytest.skip("this Python has no subinterpreters")
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        table = provider.create("table", 8, 2)
        table.put(table.grab(), b"main")
        other = interpreters.create()
        failed = interpreters.run_string(
            other,
            textwrap.dedent(
                f"""
                import sys
                sys.path[:] = {sys.path!r}
                import slotmem
                with slotmem.provider("shm", runtime_dir={str(tmp_path)!r}) as provider:
                    table = provider.attach("table")
                    assert table.get(0, 4) == b"main"
                    table.put(table.grab(), b"other")
                """
            ),
        )
        interpreters.destroy(other)
        assert failed is None
        assert table.get(1, 5) == b"other"
        assert table.num_free_slots() == 0
