"""Looking into a segment or a stored file without taking a lock or changing a byte: `slotmem inspect`.

Open `report` first: it is what everything else here collects.
"""
