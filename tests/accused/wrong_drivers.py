"""Drivers that are wrong in one way each: `python wrong_drivers.py MISTAKE`. The right one
underneath is the bundled driver.

`MISTAKES` maps each to what the check of adapters must say of it, as parts of one finding's line.
"""

import os
import sys
import time

MISTAKES = {
    "silent": ('"op":"hello"', "got nothing within", "a response of one line"),
    "exits at once": ('"op":"hello"', "its exit with status 7", 'its standard error is "No module named mine"'),
    "crashes": ('"op":"fgrab"', "its death by SIGABRT"),
    "no line end": ('"op":"hello"', "without a line end"),
    "no flush": ('"op":"hello"', "got nothing within", "at the end of its input"),
    "banner": ('"op":"hello"', "Welcome", "nothing else on standard output"),
    "chatter": ('"op":"num_slots"', "and then", "one line for one request"),
    "chatter after hello": ("debug: ready", "expected"),
    "not JSON": ('"op":"num_slots"', "{'status'", "one line of JSON"),
    "not an object": ('"op":"num_slots"', "response to be an object"),
    "protocol 2": ('"op":"hello"', "response.protocol to be 1"),
    "hello without language": ('"op":"hello"', "response to have 'language'"),
    "unknown capability": ('"op":"hello"', "response.capabilities[0] to be"),
    "status misspelt": ('"op":"release"', "response.status to be APR's name", '"APR_ENOTFOUND"'),
    "status a number": ('"op":"num_slots"', "response.status to be APR's name", "not 0"),
    "no status": ('"op":"fgrab"', "response to have 'status'"),
    "no id": ('"op":"grab"', "response to have 'id'"),
    "id a string": ('"op":"grab"', "response.id to be an integer"),
    "an extra field": ('"op":"num_slots"', "response to have no 'took'"),
    "upper-case digits": ('"op":"get"', "response.data to be bytes, two lower-case"),
    "base64": ('"op":"get"', "response.data to be bytes, two lower-case"),
    "len ignored": ('"len":2', 'response.data to be "00ff"'),
    "value by another name": ('"op":"slot_size"', "response to have 'value'"),
    "shared by word only": ("to a second driver with the same runtime_dir", 'response.status to be "APR_SUCCESS"'),
    "attach without shape": ('"op":"attach"', "response to have 'item_num'"),
    "refusal as error": ('"op":"release"', "an answer, not an error"),
    "refusal as success": ('"op":"release"', "to be other than APR_SUCCESS"),
    "unknown op is refused": ('"op":"dance"', '{"error":"..."}', "an operation that does not exist"),
    "unknown op ends it": ('"op":"dance"', "its exit with status 1"),
    "unknown op unanswered": ('"op":"dance"', "got nothing within"),
    "ids not looked at": ('"id":"0"', '{"error":"..."}', "an id that is a string"),
    "bad JSON ends it": ("this is not JSON", "its exit with status 1"),
    "batch is short": ('"op":"batch"', "one for each of the 5 requests, not 4"),
    "batch goes back": ('"op":"batch"', "time stamps that never go back"),
    "batch without stamps": ('"op":"batch"', "to have 'end' and 'start'"),
    "batch in microseconds": ('"op":"batch"', "CLOCK_MONOTONIC in nanoseconds"),
    "batch by the wall clock": ('"op":"batch"', "CLOCK_MONOTONIC in nanoseconds"),
    "batch disordered": ('"op":"batch"', "responses[0]"),
    "batch not announced": ('"op":"batch"', "batch, which is not among its capabilities"),
    "generation forgotten": ('"op":"restart"', "response.generation to be 6"),
    "numbers used again": ('"op":"create"', "a segment number that was never given before"),
    "short lines only": ('"op":"put"', "an answer, not an error"),
    "answers quit": ('"op":"quit"', "bye", "no response"),
    "does not quit": ('"op":"quit"', "no exit within", "an exit with status 0"),
    "quits with status 1": ('"op":"quit"', "its exit with status 1", "an exit with status 0"),
    "survives its input": ("the end of its input", "no exit within", "an exit with status 0"),
}
SLOW = {"silent", "no line end", "no flush", "unknown op unanswered", "does not quit", "survives its input"}


def changed(mistake, request, response):
    """Return the response that a driver with this mistake gives."""
    op, done = request.get("op"), response.get("status") == "APR_SUCCESS"
    if mistake == "not an object" and op == "num_slots":
        return [response]
    if op == "hello":
        response |= {"protocol 2": {"protocol": 2}, "unknown capability": {"capabilities": ["magic"]}}.get(mistake, {})
        if mistake == "hello without language":
            del response["language"]
        if mistake == "shared by word only":
            response["capabilities"].append("shared")
        if mistake == "batch not announced":
            response["capabilities"].remove("batch")
    if mistake == "status misspelt" and response.get("status") == "APR_NOTFOUND":
        response["status"] = "APR_ENOTFOUND"
    if mistake == "status a number" and op == "num_slots" and done:
        response["status"] = 0
    if mistake == "no status" and op == "fgrab":
        response.pop("status", None)
    if op == "grab" and "id" in response and mistake in ("no id", "id a string"):
        given = response.pop("id")
        response |= {"id": str(given)} if mistake == "id a string" else {}
    if mistake == "an extra field" and op == "num_slots" and done:
        response["took"] = 0.1
    if "data" in response and mistake in ("upper-case digits", "base64"):
        response["data"] = response["data"].upper() if mistake == "upper-case digits" else "AP9/oA=="
    if mistake == "value by another name" and op == "slot_size" and done:
        response["slot_size"] = response.pop("value")
    if mistake == "attach without shape" and op == "attach":
        response.pop("item_num", None)
    if op in ("release", "get", "put", "fgrab") and "status" in response and not done:
        response = {"refusal as error": {"error": "refused"}, "refusal as success": {"status": "APR_SUCCESS"}}.get(
            mistake, response
        )
    if mistake == "unknown op is refused" and op == "dance":
        return {"status": "APR_ENOTIMPL"}
    if mistake == "generation forgotten" and "generation" in response:
        response["generation"] = 1
    if op == "batch" and done and response["responses"]:
        batch_changed(mistake, response["responses"])
    return response


def batch_changed(mistake, responses):
    """Make the responses of a batch wrong."""
    if mistake == "batch is short":
        responses.pop()
    if mistake == "batch goes back":
        responses[0]["start"], responses[0]["end"] = responses[0]["end"], responses[0]["start"]
    if mistake == "batch disordered":
        responses.reverse()
    for each in responses if mistake.startswith("batch") else ():
        for name in ("start", "end"):
            if mistake == "batch without stamps":
                del each[name]
            if mistake == "batch in microseconds":
                each[name] //= 1000
            if mistake == "batch by the wall clock":
                each[name] = time.time_ns()


def main(mistake):
    """Answer like the bundled driver, except for one mistake."""
    if mistake == "exits at once":
        print("Traceback:\nNo module named mine", file=sys.stderr)
        sys.exit(7)
    if mistake == "silent":
        time.sleep(60)
    from slotmem_conformance.protocol import protocol
    from slotmem_conformance.protocol.answering import Answerer

    answerer, output, held = Answerer("plain"), sys.stdout.buffer, b""
    if mistake == "banner":
        output.write(b"Welcome!\n")
        output.flush()
    for line in sys.stdin.buffer:
        if mistake == "short lines only":
            line = line[:4096]
        try:
            request = protocol.decode(line)
        except ValueError as error:
            if mistake == "bad JSON ends it":
                sys.exit(1)
            request, response = {}, {"error": str(error)}
        else:
            op = request.get("op")
            if mistake == "crashes" and op == "fgrab":
                os.abort()
            if mistake == "unknown op ends it" and op == "dance":
                sys.exit(1)
            if mistake == "unknown op unanswered" and op == "dance":
                continue
            if mistake == "len ignored":
                request.pop("len", None)
            if mistake == "ids not looked at" and isinstance(request.get("id"), str):
                request["id"] = int(request["id"])
            response = answerer.answer(request)
            if mistake == "numbers used again" and op == "restart":
                answerer.instances.clear()
        if response is None:
            if mistake == "answers quit":
                output.write(b'{"bye":1}\n')
                output.flush()
            if mistake == "does not quit":
                time.sleep(60)
            sys.exit(mistake == "quits with status 1")
        response = changed(mistake, request, response)
        text = protocol.encode(response)
        if mistake == "not JSON" and request.get("op") == "num_slots":
            text = repr(response).encode() + b"\n"
        if mistake == "chatter" and request.get("op") == "num_slots":
            text += b"debug: counted\n"
        if mistake == "chatter after hello" and request.get("op") == "hello":
            text += b"debug: ready\n"
        if mistake == "no line end":
            text = text.rstrip()
        if mistake == "no flush":
            held += text
            continue
        output.write(text)
        output.flush()
    output.write(held)
    if mistake == "survives its input":
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
