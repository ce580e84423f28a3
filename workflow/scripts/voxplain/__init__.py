"""voxplain: train 3D CNNs on brain MRI, map what they look at, and measure whether the maps are true."""
