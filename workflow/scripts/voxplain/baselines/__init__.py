"""Models to hold the network against: an SVM on all voxels, and tabular models on morphometry."""
