"""What the user types: `slotmem stress`, `slotmem judge` and `slotmem bench`.

Open `stress` first.
"""
