"""`slotmem inspect`: looking into a segment or a stored file without locking or changing anything.

Open `judgement` first: its `Inspection` is what everything else here fills or prints.
"""
