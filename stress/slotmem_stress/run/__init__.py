"""A stress run: real processes hammer a segment, faults strike, and everything is recorded.

Open `runner` first.
"""
