"""What the user types: `slotmem check` and `slotmem replay`.

Open `check` first.
"""
