"""Whether the maps are true: planted ground truth against what the maps show."""
