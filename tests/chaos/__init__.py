"""The engine under fire: real processes, real commands, faults by a seed, and what must hold afterwards."""
