"""How good the suite is, measured: every small change of the reference's code, and who notices it.

Open `mutants` first.
"""
