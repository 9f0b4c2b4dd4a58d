"""What the user types: `slotmem verify`, `conform`, `vectors` and `mutate`.

Open `conform` first.
"""
