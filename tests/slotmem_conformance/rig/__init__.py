"""What a case works with: sessions, the oracle, races, traced and killed processes.

Open `rig` first.
"""
