"""The museum: algorithms that are wrong on purpose, each with the question that exposes it.

Open `pieces` first: it lists them.
"""
