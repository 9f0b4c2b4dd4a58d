"""`python -m slotmem` is the command `slotmem`."""

import sys

from slotmem.command import main

if __name__ == "__main__":  # spawned children import this module under another name
    sys.exit(main())
