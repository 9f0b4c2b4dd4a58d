"""What the user types: `slotmem verify`, `slotmem conform` and `slotmem vectors`.

Open `conform` first.
"""
