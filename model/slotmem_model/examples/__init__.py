"""Programs to learn from and to begin with: each with what is right, and a broken twin or two.

Open `lost_update` first; `catalogue` lists them all with what the checker says.
"""
