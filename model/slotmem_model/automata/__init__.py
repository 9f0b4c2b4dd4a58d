"""How a plain Python class becomes a finite automaton: by running it against a recording image.

Open `recording` first; `automaton` is what comes out.
"""
