"""slotmem's speed beside its rivals, all in the same run.

Open `measure` first.
"""
