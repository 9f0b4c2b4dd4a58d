"""The model checker: every interleaving and every death of a configuration's processes.

Open `model` first (what may happen next), then `properties` (what must never be so) and `naive`
(the search, in sixty lines).
"""
