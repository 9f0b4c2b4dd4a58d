"""The reference with one fault in its names, files, flags or checks, each of which breaks one
clause.
"""

import glob
import hashlib
import os
import struct
from typing import NamedTuple
from unittest import mock

from slotmem import instance, shm
from slotmem.interface import Type
from slotmem.memory import control, files, image, names, segment, storing
from slotmem.slots import TABLE, Slots
from slotmem.status import NotInUse

_encode, _decode, _resolve, _cleared, _store = files.encode, files.decode, names.resolve, files.cleared, storing.store
_open, _detach, _grab = segment.open_segment, instance.SlotInstance.detach, Slots.grab
_compare_and_put = Slots.compare_and_put
_shm_object_name, _describe, _write_header = names.shm_object_name, control.describe, control.write_header


class Fault(NamedTuple):
    """What replaces what, the clause that this breaks, and what it does."""

    name: str
    clause: str
    what: str
    module: object
    attribute: str
    wrong: object

    def patched(self):
        return mock.patch.object(self.module, self.attribute, self.wrong)


def resolve_with(**changes):
    """Return a `names.resolve` that changes some of the names."""

    def resolve(name, runtime_dir, generation):
        found = _resolve(name, runtime_dir, generation)
        return found and found._replace(**{field: change(found, generation) for field, change in changes.items()})

    return resolve


def _decimal(found, generation):
    return (
        found.segment
        if found.name.startswith("/")
        else found.segment.replace(f"_{generation:x}.shm", f"_{generation}.shm")
    )


def _resolve_decimal(name, runtime_dir, generation):
    found = _resolve(name, runtime_dir, generation)
    if found is None:
        return None
    wrong = _decimal(found, generation)
    return found._replace(segment=wrong, shm_object=_shm_object_name(wrong))


def _resolve_without_generation(name, runtime_dir, generation):
    return _resolve(name, runtime_dir, 0)


def _resolve_anywhere(name, runtime_dir, generation):
    found = _resolve(name, "/tmp", generation)
    return found and found._replace(persisted=_resolve(name, runtime_dir, generation).persisted)


def _resolve_absolute_by_generation(name, runtime_dir, generation):
    found = _resolve(name, runtime_dir, generation)
    if found is None or not name.startswith("/"):
        return found
    return found._replace(shm_object=_shm_object_name(f"{found.segment}_{generation}"))


def _lenient(shape, size, read):
    """Accept whatever is there, as far as it goes."""
    return [read(0, shape.apr_length - 24).ljust(shape.apr_length - 24, b"\0")]


def _whole(shape, size, read):
    return b"".join(_decode(shape, size, read))


def _unsummed(shape, size, read):
    right = hashlib.md5(read(0, size - 32)).digest()
    return _decode(
        shape, size, lambda start, nbytes: right if nbytes == 16 and start == size - 32 else read(start, nbytes)
    )


def _any_flags(shape, size, read):
    def trusting(start, nbytes):
        return read(start, 12) + _describe(shape)[12:] if start == size - 16 else read(start, nbytes)

    return _decode(shape, size, trusting)


def _forget_counter(shape, size, read):
    return [struct.pack("=I", shape.item_num) + _whole(shape, size, read)[4:]]


def _trust_counter(shape, size, read):
    return [read(0, 4) + _whole(shape, size, read)[4:]]


def _forget_flags(shape, size, read):
    return _cleared(shape, _decode(shape, size, read))


def _sum(payload):
    return hashlib.md5(payload).digest()


def _summing_more(shape, payload):
    whole = b"".join(payload)
    return [whole, _sum(whole + _describe(shape)), _describe(shape)]


def _descriptor_first(shape, payload):
    whole = b"".join(payload)
    return [whole, _describe(shape), _sum(whole)]


def _clear_contents(shape, payload):
    return _cleared(shape, [bytes(sum(map(len, payload)))])


def _store_in_place(path, data, timeout_s=None):
    with open(path, "wb") as file:
        whole = b"".join(data)
        for start in range(0, len(whole), 4096):
            file.write(whole[start : start + 4096])
            file.flush()


def _store_readable(path, data, timeout_s=None):
    _store(path, data)
    os.chmod(path, 0o644)


def _lose(path):
    os.unlink(path)
    return path


def _overwrite_aside(path):
    aside = f"{path}.bad-1"
    os.replace(path, aside)
    return aside


def _tidying(path, data, timeout_s=None):
    _store(path, data)
    for bad in glob.glob(f"{glob.escape(path)}.bad-*"):
        os.unlink(bad)


_opened = {}


def _open_cached(found, **options):
    if found.segment not in _opened:
        _opened[found.segment] = _open(found, **options)
    return _opened[found.segment]


def _detach_owner(instance):
    if instance._role == "created here":
        _detach(instance)


def _trusting(memory, size, name):
    item_size, item_num, type_ = struct.unpack_from("=QII", memory, 8)
    return control.shape_of(min(item_size, 64), min(item_num, 8), type_)


def _check_nothing(what, info, *, alone=False):
    del what, info, alone


def _destroy_unstored(made, storer, timeout_s, instance):
    del storer
    made.unlink()


def _destroy_always_stored(made, storer, timeout_s, instance):
    del storer
    if made.names is not None:
        storing.store(made.names.persisted, _encode(made.shape, [instance.algorithm().snapshot()]))
        made.unlink()


def _destroy_unlinking_nothing(made, storer, timeout_s, instance):
    del storer
    if made.names is not None and instance.type & Type.PERSIST:
        storing.store(made.names.persisted, _encode(made.shape, [instance.algorithm().snapshot()]))


def _put_whatever_is_there(self, item_id, expected, new):
    _compare_and_put(self, item_id, expected, new) or self.put(item_id, new)
    return True


def _compare_the_whole_slot(self, item_id, expected, new):
    return _compare_and_put(self, item_id, expected.ljust(self.item_size, b"\0"), new)


def _compare_without_marking(self, item_id, expected, new):
    slot = bytes(self.dptr(self.checked_id(item_id)))
    if not self.pregrab and not slot.startswith(expected):
        return False
    return _compare_and_put(self, item_id, expected, new)


def _header_without_padding(memory, shape):
    _write_header(memory, shape)
    memory[28:32] = b"\1\0\0\0"


def _grab_with_a_two(self):
    item_id = _grab(self)
    self.inuse[item_id] = 2
    return item_id


FAULTS = [
    Fault("generation-in-decimal", "NAME-6", "writes the generation of a segment's name in decimal", names, "resolve", _resolve_decimal),
    Fault("no-generation", "NAME-4", "leaves the generation out of the segment's name", names, "resolve", _resolve_without_generation),
    Fault("one-folder", "NAME-2", "puts every relative name into one folder", names, "resolve", _resolve_anywhere),
    Fault("absolute-by-generation", "NAME-3", "tells generations of absolute names apart", names, "resolve", _resolve_absolute_by_generation),
    Fault("file-by-generation", "NAME-4", "has the generation in the name of the file", names, "resolve", resolve_with(persisted=lambda found, generation: f"{found.persisted}.{generation}")),
    Fault("file-without-dot", "NAME-5", "writes -persist after an absolute name", names, "resolve", resolve_with(persisted=lambda found, generation: found.persisted.replace(".persist", "-persist"))),
    Fault("unsigned-hash", "NAME-6", "treats bytes as unsigned in both hashes", names, "shm_object_name", lambda segment: _shm_object_name("".join(letter if ord(letter) < 128 else "?" for letter in segment))),
    Fault("md5-of-more", "BYTES-2", "sums up the descriptor too", files, "encode", _summing_more),
    Fault("descriptor-first", "BYTES-2", "writes the descriptor before the MD5", files, "encode", _descriptor_first),
    Fault("never-stores", "STORE-1", "destroys a persistent segment without storing it", shm, "_destroy", _destroy_unstored),
    Fault("always-stores", "STORE-2", "stores a segment that is not persistent", shm, "_destroy", _destroy_always_stored),
    Fault("clears-nothing", "STORE-3", "stores slots in use in spite of CLEARINUSE", files, "cleared", lambda shape, payload: payload),
    Fault("clears-contents", "STORE-3", "clears the contents too", files, "cleared", _clear_contents),
    Fault("names-stay", "RESTART-2", "leaves the name of a segment that has ended", shm, "_destroy", _destroy_unlinking_nothing),
    Fault("counter-not-restored", "RESTORE-1", "counts every slot as free after a restore", files, "decode", _forget_counter),
    Fault("flags-not-restored", "RESTORE-1", "restores every slot as free", files, "decode", _forget_flags),
    Fault("restores-anything", "RESTORE-2", "restores a file of any length and sum", files, "decode", _lenient),
    Fault("restores-unsummed", "RESTORE-2", "does not look at the MD5", files, "decode", _unsummed),
    Fault("restores-other-flags", "RESTORE-2", "does not look at the flags of a file", files, "decode", _any_flags),
    Fault("loses-bad-files", "RESTORE-3", "removes a bad file", files, "set_aside", _lose),
    Fault("keeps-one-bad-file", "RESTORE-3", "keeps the last bad file only", files, "set_aside", _overwrite_aside),
    Fault("tidies-bad-files", "RESTORE-3", "removes the bad files that were kept, at the next store", storing, "store", _tidying),
    Fault("attaches-from-a-cache", "RESTART-2", "gives whoever attaches what it gave last time", segment, "open_segment", _open_cached),
    Fault("survives-its-segment", "ID-2", "lets an attacher go on when it has ended", instance.SlotInstance, "detach", _detach_owner),
    Fault("readable-file", "CREATE-10", "stores a file that everybody can read", storing, "store", _store_readable),
    Fault("readable-object", "CREATE-10", "makes an object that everybody can read", segment, "_MODE", 0o644),
    Fault("trusts-headers", "ATTACH-5", "believes what a segment says about itself", control, "read_geometry", _trusting),
    Fault("any-owner", "ATTACH-6", "uses another user's object", segment, "check_plain", _check_nothing),
    Fault("any-boot", "ATTACH-7", "uses locks of another boot", control, "check_control", lambda memory, size, shape, name: None),
    Fault("waits-not-found", "WAIT-1", "answers APR_NOTFOUND when it has waited long enough", image, "LockTimeout", NotInUse),
    Fault("ignores-its-control-block", "ATTACH-5", "does not compare the control block with the header", control, "check_control", lambda memory, size, shape, name: None),
    Fault("trusts-the-counter", "RESTORE-1", "believes the counter of a file", files, "decode", _trust_counter),
    Fault("reads-what-is-planted", "RESTORE-4", "reads a file whatever it is and whoever owns it", files, "check_plain", _check_nothing),
    Fault("marks-with-a-two", "BYTES-1", "marks a grabbed slot with a byte other than 1", Slots, "grab", _grab_with_a_two),
    Fault("tells-nobody", "ATTACH-9", "lets an attacher write where nobody will look", Slots, "end", lambda self: None),
    Fault("tells-at-the-table", "ATTACH-9", "refuses what takes the table's lock alone", Slots, "end", lambda self: self.ended.__setitem__(TABLE, 1)),
    Fault("puts-whatever-is-there", "UPDATE-1", "puts even if something else is there than was expected", Slots, "compare_and_put", _put_whatever_is_there),
    Fault("compares-the-whole-slot", "UPDATE-1", "wants the whole slot to be as expected", Slots, "compare_and_put", _compare_the_whole_slot),
    Fault("compares-without-marking", "UPDATE-2", "does not mark a slot that differs, without PREGRAB", Slots, "compare_and_put", _compare_without_marking),
    Fault("padding", "BYTES-1", "leaves something in the four bytes of padding", control, "write_header", _header_without_padding),
]  # fmt: skip
