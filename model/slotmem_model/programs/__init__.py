"""Programs of a user's own: a Python class with shared words and operations, asked the same
questions as slots. Open `declared` first: what a class may declare; `kind` is how it is run.
"""
