"""Bad atlases: what is said, word for word, and that nothing else was begun."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bad_input import listed
from tiny import tiny
from voxplain.base.errors import InputError
from voxplain.imaging.grid import Grid
from voxplain.population.atlas import load_atlas

GRID = Grid((46, 55, 46), np.array([[-4.0, 0, 0, 90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]]))
NAMES = {1: "Box L", 2: "Box R", 5: "Midline"}
KINDS = (
    "A table of labels is one of: TSV or CSV with the columns index and name; lines 'index name R G B A' as in "
    "FreeSurfer's LUT; FSL's atlas XML; or one name a line for the labels 1 to n."
)
VERSIONS = (
    "Names of another version of the atlas would be wrong ones: take the table that came with this image, or keep only "
    "the lines of labels that the image holds."
)
NOT_LABELS = "Give the label image (such as FSL's maxprob), not probabilities or an interpolated image."


def boxes() -> np.ndarray:
    """A box on each side of the head and one on the midline."""
    i = np.indices(GRID.shape).reshape(3, -1)
    x, y, z = (GRID.affine[:3, :3] @ i + GRID.affine[:3, 3:]).reshape(3, *GRID.shape)
    within = (y > -50) & (y < 20) & (z > 0) & (z < 40)
    return (
        1 * (within & (x < -10) & (x > -50)) + 2 * (within & (x > 10) & (x < 50)) + 5 * (within & (abs(x) < 6))
    ).astype(np.int16)


def table(names: dict | None = None, **more: str) -> str:
    return "index\tname\n" + "".join(f"{index}\t{name}\n" for index, name in {**(names or NAMES), **more}.items())


def high() -> np.ndarray:
    affine = GRID.affine.copy()
    affine[2, 3] += 300
    return affine


# Image (or a function of it), table (or bytes), message. IMAGE and TABLE stand for the paths.
BOTH = "IMAGE with the names of TABLE"
ATLASES = {
    "labels without names": (
        boxes,
        table({1: "Box L"}),
        listed(
            f"{BOTH}: image and names do not match; the image has 3 labels, the table 1 names, 2 labels have no name "
            "and 0 names no voxel.",
            "label 2 has no name",
            "label 5 has no name",
            advice=VERSIONS,
        ),
    ),
    "names without labels": (
        boxes,
        table(NAMES | {7: "Tapetum L", 9: "Tapetum R"}),
        listed(
            f"{BOTH}: image and names do not match; the image has 3 labels, the table 5 names, 0 labels have no name "
            "and 2 names no voxel.",
            "7 Tapetum L has no voxel",
            "9 Tapetum R has no voxel",
            advice=VERSIONS,
        ),
    ),
    "probabilities": (
        lambda: boxes() * np.float32(0.3),
        table(),
        f"IMAGE: {int((boxes() > 0).sum())} voxels do not hold a label (a whole number from 0 to "
        f"16777215).\n{NOT_LABELS}",
    ),
    "negative labels": (
        lambda: -boxes(),
        table(),
        f"IMAGE: {int((boxes() > 0).sum())} voxels do not hold a label (a whole number from 0 to "
        f"16777215).\n{NOT_LABELS}",
    ),
    "another space": (
        lambda: (boxes(), high()),
        table(),
        f"{BOTH}: only 0% of the labelled voxels lie in the MNI brain, expected at least 50%.\n"
        "Atlases must be in MNI space, with the affine that says so.",
    ),
    "left for right": (
        lambda: boxes()[::-1],
        table(),
        listed(
            f"{BOTH}: 2 of 2 regions named left or right have their centre on the other side of the head (right is x "
            f"> 0 mm).",
            "1 Box L: centre at x = 30.0 mm",
            "2 Box R: centre at x = -30.0 mm",
            advice="The header of the image is mirrored against its voxels, or the names are. Take the original "
            "file; do not mirror the names unless you know which of the two is wrong.",
        ),
    ),
    "four axes": (
        lambda: np.stack([boxes()] * 3, -1),
        table(),
        "IMAGE: has 4 axes (46×55×46×3); expected one 3D volume. Extract it first",
    ),
    "no labels": (lambda: 0 * boxes(), table(), "IMAGE: is empty: all voxels are 0"),
    "no column of names": (
        boxes,
        "index\tregion\n1\tBox L\n2\tBox R\n5\tMidline\n",
        listed("The labels TABLE have no column name. Their columns are:", "'index'", "'region'", advice=KINDS),
    ),
    "no column of numbers": (
        boxes,
        "label,name\n1,Box L\n2,Box R\n5,Midline\n",
        listed("The labels TABLE have no column index. Their columns are:", "'label'", "'name'", advice=KINDS),
    ),
    "two columns of names": (
        boxes,
        "index,name,name\n1,Box L,x\n2,Box R,y\n5,Midline,z\n",
        listed(
            "The labels TABLE do not have one column index and one column name. Their columns are:",
            *("'index'", "'name'", "'name'"),
            advice=KINDS,
        ),
    ),
    "numbers twice": (
        boxes,
        table() + "2\tBox again\n5\tMidline\n",
        listed(
            "The labels TABLE have 2 problems.",
            "label 2 is named twice: 'Box R' and 'Box again'",
            "label 5 is named twice: 'Midline' and 'Midline'",
            advice=KINDS,
        ),
    ),
    "numbers that are none": (
        boxes,
        table() + f"1.5\thalf\n-3\tnegative\n٣\tArabic\n{10**30}\thuge\n{'9' * 5000}\tendless\n\tnothing\n",
        listed(
            "The labels TABLE have 6 problems.",
            "index '1.5' of 'half' is not a whole number of 0 or more",
            "index '-3' of 'negative' is not a whole number of 0 or more",
            "index '٣' of 'Arabic' is not a whole number of 0 or more",
            f"index {10**30} of 'huge' is more than 16777215",
            f"index {'9' * 200} of 'endless' is more than 16777215",
            "index '' of 'nothing' is not a whole number of 0 or more",
            advice=KINDS,
        ),
    ),
    "names that cannot be shown": (
        boxes,
        table({1: "Box\x00 L", 2: "x" * 201, 5: ""}),
        listed(
            "The labels TABLE have 3 problems.",
            "the name of label 1 is longer than 200 characters or not printable",
            "the name of label 2 is longer than 200 characters or not printable",
            "label 5 has no name",
            advice=KINDS,
        ),
    ),
    "cell too many": (
        boxes,
        table() + "6\tx\ty\n",
        listed("1 rows of the labels TABLE do not have 2 columns as the header has.", "'6\\tx\\ty'", advice=KINDS),
    ),
    "quotation mark that is not closed": (
        boxes,
        table() + '6\t"x' + "y" * 140000,
        f"The labels TABLE cannot be read (field larger than field limit (131072)); is a quotation mark not "
        f"closed?\n{KINDS}",
    ),
    "endless line": (
        boxes,
        "1 " + "x" * 2000,
        listed("1 lines of the labels TABLE have more than 1000 characters.", f"'1 {'x' * 198}'...", advice=KINDS),
    ),
    "some lines with numbers": (
        boxes,
        "1 Box L\nBox R\n",
        listed(
            "Some lines of the labels TABLE begin with a number and a name, others do not.", "'Box R'", advice=KINDS
        ),
    ),
    "empty": (boxes, "# nothing\n", f"The labels TABLE are empty.\n{KINDS}"),
    "large": (boxes, "x\n" * 2**21 + "x", f"The labels TABLE are larger than 4 MiB: not names of regions.\n{KINDS}"),
    "entities": (
        boxes,
        '<!DOCTYPE a [<!ENTITY b "c">]><a><label index="1">&b;</label></a>',
        "The labels TABLE define XML entities, which FSL's atlases do not; they are not read.",
    ),
    "Latin-1": (
        boxes,
        "1 Br\xfccke\n".encode("latin-1"),
        "The labels TABLE cannot be read as UTF-8 text ('utf-8' codec can't decode byte 0xfc in position 4: invalid "
        f"start byte).\n{KINDS}",
    ),
}


def put(folder: Path, case: str) -> tuple[Path, Path, str]:
    """Write the atlas of a case; return image, table and the message."""
    image, names, message = ATLASES[case]
    made = image()
    data, affine = made if isinstance(made, tuple) else (made, GRID.affine)
    paths = folder / "atlas.nii.gz", folder / "names.txt"
    nib.Nifti1Image(data, affine).to_filename(paths[0])
    paths[1].write_bytes(names if isinstance(names, bytes) else names.encode())
    return *paths, message.replace("IMAGE", str(paths[0])).replace("TABLE", str(paths[1]))


@pytest.mark.parametrize("case", ATLASES)
def test_bad_atlases(tmp_path, case):
    image, names, message = put(tmp_path, case)
    with pytest.raises(InputError) as refused:
        load_atlas(image, names)
    assert str(refused.value) == message


def test_another_file_than_expected_and_none_at_all(tmp_path):
    image, names, _ = put(tmp_path, "empty")
    with pytest.raises(InputError) as refused:
        load_atlas(image, names, sha256="0" * 64)
    assert str(refused.value).startswith(f"{image} is another file than the config expects: its SHA-256 is ")
    with pytest.raises(InputError) as refused:
        load_atlas(tmp_path / "none.nii.gz", names)
    assert str(refused.value) == f"{tmp_path / 'none.nii.gz'}: does not exist"
    with pytest.raises(InputError) as refused:
        load_atlas(image, tmp_path)
    assert str(refused.value) == f"The labels {tmp_path} are not a file.\n{KINDS}"


def test_bad_atlases_at_the_front_door(tmp_path, workflow):
    """All in one run, before anything else is begun; the log of each has its message."""
    cases = ["labels without names", "left for right", "numbers twice", "another space"]
    atlases, messages = {}, {}
    for number, case in enumerate(cases):
        folder = tmp_path / f"atlas{number}"
        folder.mkdir()
        image, names, messages[f"a{number}"] = put(folder, case)
        atlases[f"a{number}"] = {"image": str(image), "labels": str(names)}
    config = tiny(4, name="bad", device="cpu", atlases=atlases)
    run = workflow(tmp_path, config)
    ended = run.run("--keep-going", *(f"results/bad/atlases/{name}.nii.gz" for name in atlases), check=False)
    assert ended.returncode == 1
    for name, message in messages.items():
        assert (run.results / "logs" / "prepare_atlas" / f"{name}.log").read_text().strip() == message
        assert not (run.results / "atlases" / f"{name}.nii.gz").exists()
    assert not (run.results / "models").exists()
