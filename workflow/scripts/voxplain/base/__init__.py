"""Ground floor: seeds, atomic files and locks, errors, names, progress, device choice."""
