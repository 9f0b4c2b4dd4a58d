"""Shared memory providers that race wrongly every time, for the tests of
slotmem_conformance.rig.racing; children import them.
"""

import os

import slotmem


class _Wrapped:
    """An instance of the reference with one wrong operation."""

    def __init__(self, instance):
        self.instance = instance

    def __getattr__(self, name):
        return getattr(self.instance, name)


class TwiceGiven(_Wrapped):
    """Gives slot 0, whoever holds it."""

    def grab(self):
        self.instance.fgrab(0)
        return 0


class Torn(_Wrapped):
    """Reads half of one put and half of another."""

    def get(self, item_id, nbytes=None):
        return b"\1" * 3 + b"\2" * 5


class Crashing(_Wrapped):
    """Kills its process at the first grab."""

    def grab(self):
        os.kill(os.getpid(), 11)


class Provider:
    """The reference's provider with wrong instances for those who attach."""

    def __init__(self, kind, runtime_dir):
        self.kind = kind
        self.provider = slotmem.provider("shm", runtime_dir=runtime_dir)
        self.create = self.provider.create

    def attach(self, name):
        return self.kind(self.provider.attach(name))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.provider.close()
