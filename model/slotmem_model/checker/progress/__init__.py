"""Does anything ever get done? Graphs of states, the loops in them, and what those say of progress.

Open `judge` first: it defines wait-free, lock-free, obstruction-free, starvation-free and
deadlock-free.
"""
