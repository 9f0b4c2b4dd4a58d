"""A stress run: real processes hammer one segment, faults strike, everything is recorded and
judged.

Open `runner` first.
"""
