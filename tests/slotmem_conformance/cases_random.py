"""Random programs beside the specification, shrunk to the shortest that tells the two apart."""
from slotmem_conformance.cases import case
