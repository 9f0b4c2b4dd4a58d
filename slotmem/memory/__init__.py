"""Where the bytes lie: a segment's layout, names, files and mutexes, and the image of it.

Open `layout` first; `segment` then shows how a segment is published, and `image` what an operation
sees of it.
"""
