"""Networks, training, checkpoints, predictions: everything between the stack of volumes and the maps."""
