"""The museum: algorithms that are wrong on purpose, each with the question that finds it out.

Open `pieces` first: it lists them.
"""
