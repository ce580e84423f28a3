"""Whether the maps are true, whether one model is better than another, and how much of either is a confound."""
