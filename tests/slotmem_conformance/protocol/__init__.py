"""How the suite talks to an implementation: requests, answers, and the process behind them.

Open `protocol` first; PROTOCOL.md, one folder up, is the same for authors of drivers.
"""
