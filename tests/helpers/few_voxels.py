"""People with sixty voxels each, and a machine on them."""

import numpy as np

from voxplain.baselines.kernel import dot_products
from voxplain.baselines.voxel_svm import fit_voxel_svm

LABELS = ["F", "M"]
SHAPE = (3, 4, 5)
VOXELS = 60


def cohort(people=48, effect=1.0, seed=0):
    generator = np.random.default_rng(seed)
    targets = np.array(LABELS * (people // 2))
    stack = generator.normal(size=(people, *SHAPE)).astype(np.float32)
    stack[targets == "M", :2] += effect
    return stack, targets


def fitted(stack, targets, train, test, settings=None, task="classification", labels=LABELS, **options):
    products, sums = dot_products(stack)
    rows = (products, sums, stack[0].size, train, test, targets, task, labels, settings or {})
    return fit_voxel_svm(*rows, 7, **options)
