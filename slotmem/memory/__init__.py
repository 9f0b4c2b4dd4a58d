"""Where the bytes lie: layout, names, files and mutexes of a segment, and the image that the operations work on.

Open `layout` first; `segment` then shows how a segment is published, and `image` what an operation sees of it.
"""
