"""Statistics over people: population maps, masks, their overlap, and atlas tables."""
