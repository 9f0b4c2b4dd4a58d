"""The parts of `slotmem verify`, and the page on which it prints their verdicts.

Open `parts` first.
"""
