"""The cases: what is done to hold an implementation to a clause, a module for each kind of need.

Open `case` first.
"""
