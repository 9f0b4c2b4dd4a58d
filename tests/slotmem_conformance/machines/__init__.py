"""Random programs run beside the specification, with Hypothesis.

Open `slots` first (one segment), then `server` (names, restarts and files).
"""
