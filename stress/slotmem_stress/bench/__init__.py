"""slotmem beside its rivals, all in the same run: how fast, and what a kill does to them.

Open `rivals` first, then `measure` for the speed and `host` for the kills.
"""
