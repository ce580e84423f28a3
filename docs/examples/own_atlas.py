"""An atlas of your own: the MNI brain cut into eight parts, as a label image and a table of names."""

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_brain_mask

brain = load_mni152_brain_mask(resolution=2)
x, y, z = nib.affines.apply_affine(brain.affine, np.moveaxis(np.indices(brain.shape), 0, -1)).transpose(3, 0, 1, 2)
names, labels = {}, np.zeros(brain.shape, dtype=np.uint8)
for side, there in (("left", x < 0), ("right", x > 0)):
    for height, above in (("lower", z < 10), ("upper", z >= 10)):
        for end, front in (("posterior", y < -18), ("anterior", y >= -18)):
            names[len(names) + 1] = f"{side} {height} {end}"
            labels[there & above & front & (brain.get_fdata() > 0)] = len(names)
nib.save(nib.Nifti1Image(labels, brain.affine), "octants.nii.gz")
with open("octants.tsv", "w", encoding="utf-8") as table:
    table.write("index\tname\n" + "".join(f"{index}\t{name}\n" for index, name in names.items()))
