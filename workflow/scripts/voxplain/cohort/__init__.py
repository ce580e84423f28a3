"""People, labels and folds: every source ends in the same participants table."""
