"""What is printed for people has nothing in it that a terminal takes for a command."""

import sys

import pytest

from slotmem import terminal

EVIL = [chr(code) for code in range(0xA0) if not chr(code).isprintable() and chr(code) not in "\n\t"] + ["\u202e"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_control_characters_are_escaped(stream, capsys):
    """Whatever a name is made of, and however it is printed, it reaches no terminal as a
    command.
    """
    with terminal.escaping():
        for sign in EVIL:
            print(f"a{sign}b", file=getattr(sys, stream))
            getattr(sys, stream).write(f"c{sign}d")
            getattr(sys, stream).writelines([f"e{sign}f\n"])
    said = getattr(capsys.readouterr(), {"stdout": "out", "stderr": "err"}[stream])
    assert all(sign not in said for sign in EVIL)
    assert "a\\x1bb\n" in said
    assert "a\\u202eb\n" in said


def test_what_stays(capsys):
    """Lines, tabs and letters stay, and so does a line of progress; what is coloured here is
    written underneath.
    """
    said = "caf\u00e9\t1\n\n", "\r12 %\x1b[K", "\r\x1b[K12 %", "\r\x1b[2K12 %", "\r\x1b[K"
    before = sys.stdout
    with terminal.escaping():
        for text in said:
            assert sys.stdout.write(text) == len(text)
        terminal.unescaped(sys.stdout).write("\x1b[31mred")
        assert sys.stdout.encoding == before.encoding
    assert capsys.readouterr().out == "".join(said) + "\x1b[31mred"
    assert sys.stdout is before
    assert terminal.unescaped(before) is before
