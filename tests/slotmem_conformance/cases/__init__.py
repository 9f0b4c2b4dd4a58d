"""The cases: what is done to hold an implementation to a clause, one module for each kind of thing it needs.

Open `case` first.
"""
