"""The fast judge of slot histories, held to the general one in `slotmem_model.judge.search`.

Open `judge` first.
"""
