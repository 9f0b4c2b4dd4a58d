"""The bundled driver: `python -m slotmem_conformance.protocol.driver SPEC`, for any provider.

It is what runs a provider in a process of its own, and an example of a driver. See PROTOCOL.md.
"""

from __future__ import annotations

import sys

from slotmem_conformance.protocol import protocol
from slotmem_conformance.protocol.answering import Answerer


def main(arguments: list[str], *, patience_s: float | None = None) -> int:
    """Answer until quit or the end of the input, and return the exit code.

    `patience_s` is how long the provider may take to open, in seconds.
    """
    if len(arguments) != 1:
        print(
            "usage: python -m slotmem_conformance.protocol.driver PROVIDER    (shm, plain, algorithm:NAME, ...)",
            file=sys.stderr,
        )
        return 2
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever prints must not break into the conversation
    answerer = Answerer(arguments[0], patience_s=patience_s)
    try:
        for line in sys.stdin.buffer:
            try:
                response = answerer.answer(protocol.decode(line))
            except ValueError as error:
                response = {"error": f"a line that is not JSON: {error}"}
            if response is None:
                break
            output.write(protocol.encode(response))
            output.flush()
    finally:
        answerer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
