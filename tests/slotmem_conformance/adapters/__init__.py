"""Implementations that need no driver: C libraries behind `slotmem_abi.h`, and Apache's own module.

Open `abi` first.
"""
