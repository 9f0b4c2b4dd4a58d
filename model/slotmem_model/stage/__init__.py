"""A run as a page for a browser, to be stepped through, undone and done otherwise.

Open `page` first.
"""
