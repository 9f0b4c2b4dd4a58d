"""How a plain Python class becomes a finite automaton: its operations are run on a recording image, access by access.

Open `recording` first; `automaton` is what comes out.
"""
