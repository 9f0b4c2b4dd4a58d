"""The protocol's messages: our validator agrees with JSON Schema, and says in a line what
is wrong.
"""

import copy

import hypothesis.strategies as st
import jsonschema
import pytest
from hypothesis import given, settings

from slotmem_conformance.protocol import protocol
from slotmem_conformance.protocol.schema import compile_schema

DEFINITIONS = protocol.schema()["definitions"]
OK = {"status": "APR_SUCCESS"}
GOOD = {
    "hello_request": {"op": "hello", "protocol": 1, "runtime_dir": "/x", "generation": 0},
    "hello_response": {"protocol": 1, "implementation": "i", "version": "", "language": "C", "capabilities": ["batch"]},
    "create_request": {"op": "create", "name": None, "item_size": 4, "item_num": 3, "type": ["PERSIST"]},
    "create_response": OK | {"segment": 0},
    "attach_request": {"op": "attach", "name": "w", "unsafe": True, "timeout_ms": 500},
    "attach_response": OK | {"segment": 1, "item_size": 4, "item_num": 3},
    "grab_response": OK | {"id": 0},
    "get_request": {"op": "get", "segment": 0, "id": -1, "len": 4},
    "get_response": OK | {"data": "00ff"},
    "put_request": {"op": "put", "segment": 0, "id": 1, "data": ""},
    "doall_request": {"op": "doall", "segment": 0, "answers": ["ERRNO_5", "APR_EGENERAL"]},
    "doall_response": {"status": "APR_EGENERAL", "slots": ["00", "01"]},
    "num_slots_response": OK | {"value": 3},
    "batch_request": {"op": "batch", "segment": 0, "requests": [{"op": "grab"}]},
    "batch_response": OK | {"responses": [OK | {"start": 1, "end": 2}]},
    "restart_response": OK | {"generation": 1},
    "error_response": {"error": "no"},
}
VALUES = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2**31, 2**64, [], {}, [1]),
        *("", "x", "0f", "0F", "0f\n", "APR_SUCCESS", "APR_ENOTFOUND", "ERRNO_0", "grab", "hello"),
        *(["PERSIST", "PERSIST"], ["0f"], [{"op": "grab", "segment": 0}], [{"op": "restart"}]),
    ]
)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_schema_compiles(definition):
    """Every definition uses only keywords that the validator knows, and is itself a valid
    schema.
    """
    jsonschema.Draft7Validator.check_schema(DEFINITIONS[definition])
    assert compile_schema(DEFINITIONS[definition], DEFINITIONS)


@pytest.mark.parametrize("definition", GOOD)
def test_good_messages(definition):
    """The messages of PROTOCOL.md are accepted, by the validator and by jsonschema."""
    assert compile_schema(DEFINITIONS[definition], DEFINITIONS)(GOOD[definition]) is None
    assert reference(definition).is_valid(GOOD[definition])


@given(st.sampled_from(sorted(GOOD)), st.data())
@settings(max_examples=400, deadline=None)
def test_same_verdict_as_jsonschema(definition, data):
    """A message with a field changed, added or removed gets the verdict that jsonschema gives, the
    final line end apart.
    """
    message = copy.deepcopy(GOOD[definition])
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from([*message, *DEFINITIONS[definition]["properties"], "extra"]))
        if data.draw(st.booleans()):
            message.pop(name, None)
        else:
            message[name] = data.draw(VALUES)
    ours = compile_schema(DEFINITIONS[definition], DEFINITIONS)(message) is None
    theirs = reference(definition).is_valid(message)
    assert ours == theirs or ("\\n" in repr(message) and not ours), message


def test_unknown_keyword():
    """A keyword that the validator does not know is refused, not skipped."""
    for schema in (
        {"type": "string", "format": "date"},
        {"type": "object", "required": [], "not": {}},
        {"type": ["string", "null"], "minLength": 1},
        {"const": 1, "minimum": 0},
        {"description": "anything"},
        {"type": "string", "pattern": "a"},
        {
            "type": "object",
            "required": [],
            "if": {"required": ["a"], "properties": {"a": {"const": 1}}},
            "then": {"required": []},
        },
    ):
        with pytest.raises(ValueError, match=r"not known|without a type|between"):
            compile_schema(schema, {})


BATCH = {"op": "batch", "segment": 0, "requests": [{"op": "grab"}, {"op": "get", "id": 0}]}
STAMPED = [OK | {"id": 0, "start": 1, "end": 2}, OK | {"data": "00", "start": 2, "end": 2}]


@pytest.mark.parametrize(
    ("request_", "response", "said"),
    [
        ({"op": "grab", "segment": 0}, OK, "response to have 'id'"),
        ({"op": "grab", "segment": 0}, {"status": "EINVAL"}, "response.status to be APR's name of a status"),
        (
            {"op": "grab", "segment": 0},
            OK | {"id": "0"},
            'response.id to be an integer from 0 to 4294967295, not "0"',
        ),
        ({"op": "grab", "segment": 0}, OK | {"id": True}, "not true"),
        ({"op": "fgrab", "segment": 0, "id": 0}, OK | {"id": 0}, "response to have no 'id'"),
        ({"op": "get", "segment": 0, "id": 0}, OK | {"data": "FF"}, "two lower-case hexadecimal digits each"),
        ({"op": "restart"}, [], "response to be an object, not []"),
        ({"op": "restart"}, {"error": "no"}, "an answer, not an error"),
        (BATCH, OK | {"responses": STAMPED[:1]}, "one for each of the 2 requests, not 1"),
        (BATCH, OK | {"responses": STAMPED[::-1]}, "response.responses[0]"),
        (BATCH, OK | {"responses": [STAMPED[0], STAMPED[1] | {"start": 1}]}, "time stamps that never go back"),
        (BATCH, OK | {"responses": [STAMPED[0] | {"end": 0}, STAMPED[1]]}, "time stamps that never go back"),
        (
            BATCH,
            OK | {"responses": [STAMPED[0], OK | {"data": "00"}]},
            "response.responses[1] to have 'end' and 'start'",
        ),
        (BATCH, OK | {"responses": [STAMPED[0], OK | {"start": 3, "end": 4}]}, "response.responses[1] to have 'data'"),
    ],
)
def test_response_faults(request_, response, said):
    """A wrong response is told in one line: where, what was expected, what was got."""
    told = protocol.response_fault(request_, response)
    assert said in told
    assert "\n" not in told


def test_good_batch():
    """A batch that is as it should be has no fault, refusals included."""
    assert protocol.request_fault(BATCH) is None
    assert protocol.response_fault(BATCH, OK | {"responses": STAMPED}) is None
    refused = [{"status": "APR_EINVAL", "start": 1, "end": 1}, {"status": "APR_NOTFOUND", "start": 1, "end": 1}]
    assert protocol.response_fault(BATCH, OK | {"responses": refused}) is None


def test_decode():
    """NaN, Infinity, bad UTF-8 and half a line are not JSON."""
    for line in (b'{"a":NaN}', b'{"a":Infinity}', b'{"a":"\xff"}', b'{"a":', b""):
        with pytest.raises(ValueError, match=r"not JSON|utf-8|expecting value at"):
            protocol.decode(line)


def reference(definition):
    """Return the same definition as a validator of the library jsonschema."""
    whole = {"$ref": f"#/definitions/{definition}", "definitions": DEFINITIONS}
    return jsonschema.Draft7Validator(whole)
