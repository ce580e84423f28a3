"""What the parts of a run cost: the one place for these numbers, each with where it was measured.

Seconds are CPU time on one core of an AMD EPYC with bfloat16 instructions, so that they depend little on what else the
machine did; other machines differ by a factor, seldom above two. Sources, by the letter behind each number:

- G: growth, 100 to 1,113 people through all stages with 2 channels (``tests/benchmarks/growth.py``);
- D: the demo, 128 people, 8 channels, its jobs' logs (``config/demo.yaml``);
- S: docs/speed.md;
- C: config/README.md, at the criteria and models;
- M: one call of the method on random images, 8 and 32 channels, one thread (a measurement made for this table).

Nothing was measured on a GPU.
"""

import math
from collections.abc import Mapping

# Starting a job: Python, imports, Snakemake's part of it. 154 s for 202 jobs (S: the demo).
START_S = 0.76
# Share of the cores' time that a run uses; the rest is waiting for one another. 1,098 of 1,220 s (S: the demo).
USED_SHARE = 0.9

# Reading one volume onto the common grid: 260×311×260 float32 .nii.gz (S); the phantom's, int16 (D), and small (G).
READ_S, READ_PHANTOM_S, READ_COMMON_S = 0.103, 0.082, 0.024
# Making one phantom person at 0.7 mm (D) and on the common grid (G); what the phantom needs once (D).
PHANTOM_PERSON_S, PHANTOM_COMMON_S, PHANTOM_ONCE_S = 1.04, 0.40, 6.6
STACK_PERSON_S = 0.0005  # G
# Registering a volume of 1 mm on one thread (M: the MNI template, scaled and shifted; real brains may take longer).
ALIGN_S = {"none": 0.0, "rigid": 5.0, "affine": 4.5, "syn": 9.0}

# One sample of training, forward, backward and step, by channels: G, D, S (47 ms on two cores).
TRAIN_S = {2: 0.013, 8: 0.0196, 32: 0.094}
# A pass forward alone, as a share of that: the matrix products of one pass in three.
FORWARD_SHARE = 1 / 3
# The first layer's features, a person, 8 channels; one step of one visualisation, 8 channels (D).
FIRST_LAYER_S, VISUALISATION_STEP_S = {8: 0.036}, {8: 0.0127}

# One map with the usual settings, by channels. 8: D, but for the last two (M); 32: M, and of perturbation the demo's
# time in the proportion of M's (0.54 and 1.96 s: random networks give in sooner than trained ones).
MAP_S = {
    "gradcam": {8: 0.019, 32: 0.069},
    "hirescam": {8: 0.019, 32: 0.069},
    "guided_backprop": {8: 0.036, 32: 0.117},
    "lrp": {8: 0.067, 32: 0.201},
    "smoothgrad": {8: 0.217, 32: 0.863},
    "perturbation": {8: 1.0, 32: 3.6},
    "integrated_gradients": {8: 1.56, 32: 6.17},
    "occlusion": {8: 24.9, 32: 126.0},
}
# The settings that a method's time is proportional to, as they were measured.
STEPS = {
    "smoothgrad": {"samples": 8},
    "perturbation": {"iterations": 60, "jitters": 1},
    "integrated_gradients": {"steps": 64},
}
# Training a noise model, a person and epoch (C: 0.3 s on two cores); its map is counted as guided backpropagation.
NOISE_TRAIN_S = 0.6

# The SVM's products between images, a pair of people (C: 10 s for 1,113; 10 to 15 minutes for 10,000); a fold (D).
KERNEL_PAIR_S, SVM_FOLD_S = 1.2e-5, 0.1
# A fold of a model on morphometry: what it takes in any case (D), and for each person and feature (C: 1,113 × 935).
# ridge and svr were not measured; they are counted as nearest neighbours.
MORPHOMETRY_S = {
    "logistic": (2.5, 2.3e-5),
    "xgboost": (4.0, 1.44e-4),
    "knn": (0.3, 2.9e-6),
    "ridge": (0.3, 2.9e-6),
    "svr": (0.3, 2.9e-6),
}
# Columns of HCP's FreeSurfer tables that are features (Kan et al. 2020).
HCP_FEATURES = 935

# Population maps of a method: a person (G, S), a group's map, mask and picture (D).
SUMMARY_PERSON_S, GROUP_S = 0.0016, 2.6
# Permutations and bootstrap of a method, 1,000 each: once and a person (G).
INFERENCE_S, INFERENCE_PERSON_S = 1.5, 0.010
LOCALIZATION_PERSON_S = 0.015  # a method (D, G)
# Randomised networks: a network, and maps a person (D: 4 people, 6 methods).
RANDOMIZATION_S, RANDOMIZATION_MAPS = 1.75, 12
# Deletion and insertion, a person, method and replacement, 8 channels (D); tests on masked images, a person, method and
# group with 19 draws, 8 channels (D).
FAITHFULNESS_S, MASKED_S = {8: 0.30}, {8: 0.44}
REPRODUCIBILITY_S = 0.04  # comparing the maps of a person, repeat and method (D)
SURROGATES_S = 2.6  # agreement or anatomy: 100 random maps of a method (D)
ANATOMY_PERSON_S = 0.0085  # G
# Tables, figures and the page: about 40 jobs, of whose work most is drawing (D).
TABLES_JOBS, TABLES_S = 40, 35.0

# Bytes. A volume on the common grid lies there twice, in its batch and in the stack (D, G); a map (D: 0.18 to 0.74 MB).
IMAGE_BYTES, MAP_BYTES = 1_900_000, 750_000
# The phantom's volumes at 0.7 mm, if they are kept (config/README.md); on a run's way they come and go.
VOLUME_BYTES = 8_000_000
# An image from a bucket, which lies on the disk while its batch is read: 260×311×260 float32 .nii.gz (S).
BUCKET_BYTES = 20_000_000
# Everything else: tables, figures, logs, the page, networks (D: 30 MB).
REST_BYTES = 100_000_000
# A person's smoothed map in the temporary folder while it is tested: 62,000 voxels of the brain of 4 bytes (S).
TEMPORARY_BYTES = 250_000


def at_channels(measured: Mapping[int, float], channels: float) -> float:
    """Return seconds at a number of channels, by the power law through the two nearest of those that were measured.

    Parameters
    ----------
    measured : mapping of int to float
        Seconds by channels. Of a single one, seconds grow as those of training do from there on.
    channels : float
        Of the first block.
    """
    if len(measured) == 1:
        ((where, seconds),) = measured.items()
        return seconds * at_channels(TRAIN_S, channels) / at_channels(TRAIN_S, where)
    low, high = sorted(sorted(measured), key=lambda known: abs(math.log(known / channels)))[:2]
    power = math.log(measured[high] / measured[low]) / math.log(high / low)
    return measured[low] * (channels / low) ** power
