"""The specification of slot-based shared memory, and what judges implementations by it.

Start reading at `slotmem_model.spec` (what each operation means) and `slotmem_model.clauses` (the
same in sentences). This package knows no implementation.
"""
