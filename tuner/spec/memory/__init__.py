"""Whether a configuration fits its accelerators' memory, by formula, before anything is deployed."""

from tuner.spec.memory.estimate import TIGHT, Estimate, Memory, memory_of

__all__ = ["TIGHT", "Estimate", "Memory", "memory_of"]
