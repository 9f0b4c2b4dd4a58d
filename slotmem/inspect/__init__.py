"""`slotmem inspect`: looking into a segment or a stored file without locking or changing anything.

Open `report` first: it is what everything else here collects.
"""
