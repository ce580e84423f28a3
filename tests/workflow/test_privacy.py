"""A cohort with planted, unmistakable private values: none of them leaves private/, and no path of the user does."""

import base64
import gzip
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors import safe_open

from voxplain.cohort.phantom import PhantomSettings, freesurfer_csv, make_people, restricted_csv, unrestricted_csv
from voxplain.cohort.phantom.families import design

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 12
USER = "jane-doe-of-4711"  # stands for a home folder: part of every absolute path of the user
CONFIG = {
    "name": "secret",
    "torch_threads": 1,
    "images": {"subjects_per_job": 6},
    "folds": {"count": 2, "compare_ungrouped": True},
    "model": {"arguments": {"channels": 2}},
    "training": {"epochs": 1, "batch_size": 4},
    "population": {"statistics": ["mean_signed", "t"]},
    "maps": {"methods": {"gradcam": {}, "lrp": {}}},
}
CLASSES = {
    "baselines": {
        "models": {"svm": {}, "logistic": {"C": [0.1, 1]}, "knn": {"n_neighbors": [1, 3]}},
        "inner_folds": 2,
        "permutation_repeats": 2,
    },
    "statistics": {"permutations": 1},
    "features": {"visualisation": {"folds": 1, "steps": 2, "channels": 2, "nearest": 1}},
    "evaluation": {
        "randomization": {"people": 2},
        "faithfulness": {"people": 4, "replacements": ["mean"], "shares": [0, 20, 100]},
        "masked_accuracy": {"people": 4, "draws": 2},
        "reproducibility": {"people": 6, "dropout": 0, "folds": 0},
        "agreement": {"surrogates": 5, "volumes": [5]},
        "anatomy": {"surrogates": 5},
        "inference": {"permutations": 19, "replicates": 10},
    },
}


class Secret:
    """The folder of a cohort in HCP layout, its config section, and what must not be told of it."""

    def __init__(self, folder):
        self.folder = folder / USER
        settings = PhantomSettings(people=PEOPLE, seed=5, grid="common")
        make_people(list(design(settings)["participant_id"]), settings, self.folder / "HCP_1200")
        measures = pd.read_csv(self.folder / "HCP_1200" / "measures.tsv", sep="\t", dtype={"Subject": str})
        table = restricted_csv(settings, measures)
        # Nothing else in a run looks like these: neither a number that is computed nor base64.
        families = {name: f"{5678900 + i}_4711" for i, name in enumerate(sorted(table["Family_ID"].unique()))}
        number = np.arange(PEOPLE)
        table["Family_ID"] = table["Family_ID"].map(families)
        table["Mother_ID"] = [f"98765{n:04d}24681" for n in number]
        table["Father_ID"] = [f"98765{n:04d}13579" for n in number]
        # Digits without a pattern: the mean of some of these ages is none of them.
        table["Age_in_Yrs"] = [f"{22 + n}.{10007 + 7919 * n * n % 89989}" for n in number]
        table["ZygositySR"] = "NotTwin"
        table["ZygosityGT"] = ["ZygosityMZ", "ZygosityDZ"] * (PEOPLE // 2)
        table.to_csv(self.folder / f"RESTRICTED_{USER}.csv", index=False)
        unrestricted_csv(settings, measures).to_csv(self.folder / "unrestricted.csv", index=False)
        freesurfer_csv(settings, measures).to_csv(self.folder / "freesurfer.csv", index=False)
        self.section = {
            "root": str(self.folder / "HCP_1200"),
            "unrestricted_csv": str(self.folder / "unrestricted.csv"),
            "restricted_csv": str(self.folder / f"RESTRICTED_{USER}.csv"),
            "freesurfer_csv": str(self.folder / "freesurfer.csv"),
        }
        self.ages = np.array([float(age) for age in table["Age_in_Yrs"]], dtype=np.float32)
        own = table[["Family_ID", "Mother_ID", "Father_ID", "ZygositySR", "ZygosityGT"]]
        self.values = {text for column in own for text in own[column]} | set(table["Age_in_Yrs"])
        self.values |= {f"{float(age):.{digits}f}" for age in table["Age_in_Yrs"] for digits in (3, 4)}
        assert own["Family_ID"].duplicated().any()


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    return Secret(tmp_path_factory.mktemp("data"))


def cohort(secret, **more):
    return {"cohort": {"source": "hcp", "hcp": secret.section, **more}}


@pytest.fixture(scope="module")
def classes(secret, tmp_path_factory, workflow):
    """Women and men, with families and ages known, every stage and nearly every test of the maps."""
    config = CONFIG | CLASSES | cohort(secret, target="Gender", labels=["F", "M"])
    run = workflow(tmp_path_factory.mktemp("classes"), config)
    run.said = run.run().stdout
    return run


@pytest.fixture(scope="module")
def ages(secret, tmp_path_factory, workflow):
    """The restricted age itself as the target."""
    more = {"baselines": {"models": {"ridge": {}, "svm": {}}, "inner_folds": 2}, "statistics": {"age_gap": True}}
    config = CONFIG | more | cohort(secret, target="Age_in_Yrs", task="regression")
    run = workflow(tmp_path_factory.mktemp("ages"), config)
    run.said = run.run().stdout
    return run


@pytest.fixture(params=["classes", "ages"])
def run(request):
    return request.getfixturevalue(request.param)


def contents(path):
    """What a file says: its bytes, decompressed, and those of what is embedded in it."""
    raw = path.read_bytes()
    yield raw
    if path.suffix == ".gz":
        yield gzip.decompress(raw)
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
            yield repr(image.info).encode()
    if path.suffix == ".html":
        for text in re.findall(rb"data:[\w/+.-]+;base64,([\w+/=]+)", raw):
            yield base64.b64decode(text)


def public(run):
    """All that a run leaves, but for private/."""
    private = run.results / "private"
    return [path for path in run.results.rglob("*") if path.is_file() and private not in path.parents]


def search(paths, needles):
    """Which of the needles stand in which files; digits and dots beside a needle make another number of it."""
    found = {}
    for path in paths:
        for content in contents(path):
            for needle in needles:  # plain search first: expressions take minutes for arrays
                raw = needle.encode()
                if raw in content and re.search(rb"(?<![\d.])" + re.escape(raw) + rb"(?!\d)", content):
                    found.setdefault(str(path), set()).add(needle)
    return found


def arrays(path):
    if path.suffix == ".npy":
        yield np.load(path, allow_pickle=False)
    elif path.name.endswith(".nii.gz"):
        yield np.asarray(nib.load(path).dataobj)
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118
                yield file.get_tensor(name)


def test_the_search_finds_what_is_hidden(tmp_path):
    """Packed, embedded and in binary files too; otherwise the tests below would prove nothing."""
    family, age = "5678901_4711", "31.4159"
    embedded = base64.b64encode(f"<svg>{family}</svg>".encode()).decode()
    (tmp_path / "a.tsv").write_text(f"x\t{family}\n")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(f"age={age},".encode()))
    (tmp_path / "c.html").write_text(f'<img src="data:image/svg+xml;base64,{embedded}">')
    np.save(tmp_path / "d.npy", np.array([1.0, float(age)]))
    (tmp_path / "e.tsv").write_text(f"1{family}\t{age}1\t0.{age}\n")  # other numbers
    paths = sorted(tmp_path.iterdir())
    assert {Path(path).name for path in search(paths, [family, age])} == {"a.tsv", "b.nii.gz", "c.html"}
    assert any(np.isin(values.astype(np.float32), np.float32(age)).any() for values in arrays(tmp_path / "d.npy"))


@pytest.mark.slow
def test_no_private_value_leaves_the_private_folder(run, secret):
    paths = public(run)
    assert len(paths) > 100
    assert search(paths, secret.values) == {}
    assert not re.search("|".join(map(re.escape, secret.values)), run.said)


@pytest.mark.slow
def test_no_array_holds_an_age(run, secret):
    for path in public(run):
        for values in arrays(path):
            if values.dtype.kind == "f":
                assert not np.isin(values.astype(np.float32), secret.ages).any(), path


@pytest.mark.slow
def test_no_result_and_no_log_tells_where_files_lie(run):
    needles = [USER, str(run.folder), str(ROOT), *([str(Path.home())] if len(Path.home().parts) > 1 else [])]
    assert search(public(run), needles) == {}


@pytest.mark.slow
def test_what_snakemake_keeps_of_its_jobs_holds_no_private_value(run, secret):
    """Its metadata have the parameters and paths of every job, ids among them, and no restricted field."""
    paths = [path for path in (run.folder / ".snakemake").rglob("*") if path.is_file()]
    assert any("metadata" in path.parts for path in paths)
    assert search(paths, secret.values) == {}


@pytest.mark.slow
def test_private_values_are_where_they_are_needed(classes, ages, secret):
    """The age is known to the run, so that its absence elsewhere means something."""
    table = pd.read_csv(classes.results / "private" / "confounders.tsv", sep="\t")
    assert np.isin(table["age_years"].astype(np.float32), secret.ages).all()
    people = pd.read_csv(ages.results / "private" / "participants.tsv", sep="\t")
    assert np.isin(people["target"].astype(np.float32), secret.ages).all()
    assert people["group"].str.fullmatch("[0-9a-f]{16}").all()


@pytest.mark.slow
def test_the_private_folder_is_closed_and_holds_the_maps_of_a_restricted_target(run, ages):
    assert stat.S_IMODE((run.results / "private").stat().st_mode) == 0o700
    assert (run.results / "private" / "maps").is_dir() == (run is ages)
    assert (run.results / "maps").is_dir() == (run is not ages)
    maps = list((ages.results / "private" / "maps" / "gradcam").rglob("sub-*_map.nii.gz"))
    assert len(maps) == PEOPLE


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="no git repository")
@pytest.mark.parametrize(
    "path",
    ["private/participants.tsv", "private/maps/gradcam/fold-0_part-0/maps.tsv", "tables/cohort.tsv", "inputs.tsv"],
)
def test_git_ignores_results(path):
    assert subprocess.run(["git", "-C", ROOT, "check-ignore", "--quiet", f"results/x/{path}"]).returncode == 0


@pytest.mark.slow
def test_input_that_changes_while_a_run_goes_on_is_counted_and_nobody_is_named(classes, secret, tmp_path, workflow):
    """Between the tables and the page somebody corrects the table and an image; times do not give them away."""
    root = tmp_path / "HCP_1200"
    shutil.copytree(secret.folder / "HCP_1200", root)
    table = tmp_path / "unrestricted.csv"
    shutil.copy2(secret.folder / "unrestricted.csv", table)
    section = {**secret.section, "root": str(root), "unrestricted_csv": str(table)}
    config = {**CONFIG, "cohort": {**classes.config["cohort"], "hcp": section}, "maps": {"methods": {"gradcam": {}}}}
    config["folds"] = {"count": 2}
    other = workflow(tmp_path, config)
    other.run("tables")
    image = sorted(root.glob("*/MNINonLinear/T1w_restore_brain.nii.gz"))[4]
    times = {path: path.stat().st_mtime_ns for path in (table, image)}
    volume = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(volume.dataobj) // 2, volume.affine), image)
    table.write_text(table.read_text() + "\n")
    for path, time in times.items():
        os.utime(path, ns=(time, time))
    assert not {"downsample", "tabulate_participants"} & set(other.planned())
    other.run()
    said = (other.results / "report" / "index.html").read_text()
    (warning,) = re.findall(r'<p class="warning"[^>]*>(Input changed.*?)</p>', said, re.S)
    assert "1 file that the settings name and 1 person&#39;s image" in warning
    record = (other.results / "provenance.json").read_text()
    assert '"cohort.hcp.unrestricted_csv"' in record
    assert image.parts[-3] not in record
    assert image.parts[-3] not in warning
