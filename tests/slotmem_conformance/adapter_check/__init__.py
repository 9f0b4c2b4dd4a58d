"""Is the driver itself right? `slotmem conform --check-adapter`.

Open `check` first.
"""
