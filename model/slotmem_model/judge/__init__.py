"""The judge of recorded histories: can some order of the operations explain what was seen?

Open `search` first: it judges histories of any specification. `slots` holds the fast judge for
slots.
"""
