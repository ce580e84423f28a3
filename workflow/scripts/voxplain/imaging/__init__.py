"""Volumes on the common grid: reading, downsampling, alignment, intensity, quality."""
