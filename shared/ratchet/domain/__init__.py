"""The pure core: decisions as plain values, with no I/O, clock, randomness or framework."""
