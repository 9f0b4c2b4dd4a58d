"""The sequential suite as JSON files, for implementations that are tested without Python.

Open `vectors` first; `files` holds what it writes.
"""
