"""What slotmem, httpd and multiprocessing have left on this machine, and what may go.

Open `command` first.
"""
