"""Values of a user's JSON in messages: told as JSON, cut where they are long or deep.

Interface: `shortened(value)`; `KINDS` names the types that values have.
"""

from __future__ import annotations

import json
import reprlib

KINDS = {int: "a whole number", str: "a string", list: "a list", dict: "an object"}


class _Shortened(reprlib.Repr):
    def repr_NoneType(self, _: None, __: int) -> str:  # noqa: N802 - it is found by the type's name
        return "null"

    def repr_bool(self, value: bool, _: int) -> str:
        return "true" if value else "false"

    def repr_str(self, value: str, _: int) -> str:
        whole = len(value) <= self.maxstring
        return json.dumps(value if whole else value[: self.maxstring - 3] + "...", ensure_ascii=False)


shortened = _Shortened().repr
