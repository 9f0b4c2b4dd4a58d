"""What holds an implementation to the clauses of `slotmem_model.clauses`.

Start reading at `slotmem_conformance.machines.driving`: how an operation of the specification is
done on a real instance, and how the two answers are compared.
"""
