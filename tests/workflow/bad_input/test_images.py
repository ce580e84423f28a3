"""Bad images, one person each, in one cohort: all are named with the reason, word for word, and nothing is trained.

The same people go through the workflow three times: where bad images are left out, where they stop the run by what
their headers say, and where they stop it by what their data are.
"""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from bad_images import DATA, GOOD, HEADERS, MASKS, PLACES, WHOLE


@pytest.fixture(scope="module")
def study(tmp_path_factory, workflow):
    """Everybody's files, and a table with a byte-order mark and Windows line ends; its config leaves bad images out."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for person, (name, content, *_) in {**HEADERS, **DATA, **GOOD}.items():
        write(folder / person / name, content())
        rows.append([person, f"{person}/{name}", "n/a"])
    for person, (content, _) in MASKS.items():
        write(folder / person / "f.nii.gz", WHOLE)
        write(folder / person / "mask.nii.gz", content())
        rows.append([person, f"{person}/f.nii.gz", f"{person}/mask.nii.gz"])
    (folder / "aFolder").mkdir()
    (folder / "aLink.nii.gz").symlink_to(folder / "nowhere.nii.gz")
    rows += [[name.split(".")[0], name, "n/a"] for name in ("aFolder", "aLink.nii.gz", "nobody.nii.gz")]
    table = pd.DataFrame(rows, columns=["participant_id", "t1", "brain"])
    table["sex"] = ["F", "M"] * (len(rows) // 2) + ["F"] * (len(rows) % 2)
    text = table.to_csv(sep=",", index=False).replace("\n", "\r\n")
    (folder / "people.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    columns = {"image_column": "t1", "mask_column": "brain"}
    config = {
        "name": "bad",
        "device": "cpu",
        "torch_threads": 1,
        "cohort": {
            "source": "table",
            "target": "sex",
            "labels": ["F", "M"],
            "min_found": 0.5,
            "table": {"file": str(folder / "people.csv"), **columns},
        },
        "images": {"on_bad_image": "exclude", "subjects_per_job": 100},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 1}},
        "training": {"epochs": 1},
    }
    return workflow(folder, config)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def failing(study, *without: str) -> tuple[Path, str]:
    """Run up to the networks where bad images stop the run; return its folder and words, nothing having begun."""
    config = {**study.config, "name": "fail", "images": {"subjects_per_job": 100}}
    if without:
        table = pd.read_csv(study.folder / "people.csv", dtype=str, keep_default_na=False)
        table[~table["participant_id"].isin(without)].to_csv(study.folder / "fewer.csv", index=False)
        own = {**config["cohort"]["table"], "file": str(study.folder / "fewer.csv")}
        config |= {"name": "fewer", "cohort": {**config["cohort"], "table": own}}
    ended = study.run("models", config=config, check=False)
    assert ended.returncode == 1
    results = study.folder / "results" / config["name"]
    assert not (results / "models").exists()
    assert not (results / "images" / "stack.npy").exists()
    return results, ended.stdout


def said(log: Path) -> str:
    return log.read_text().strip()


def refusal(headline: str, offenders: list[str], advice: str) -> str:
    more = [f"... and {len(offenders) - 20} more ({len(offenders)} in all)"] if len(offenders) > 20 else []
    return "\n".join([headline, *(f"  - {line}" for line in [*offenders[:20], *more]), advice])


def problems() -> dict[str, str]:
    """What the table of excluded people says about each."""
    named = {person: f"{name}: {problem}" for person, (name, _, problem) in {**HEADERS, **DATA}.items()}
    named |= {person: DATA[person][2] for person in ("outside", "head", "binary", *PLACES)}
    return named | {person: f"mask.nii.gz: {problem}" for person, (_, problem) in MASKS.items()}


def test_bad_images_are_left_out_and_listed_with_the_reason(study):
    study.run("results/bad/images/index.tsv", "results/bad/private/missing.tsv")
    excluded = pd.read_csv(study.results / "images" / "excluded.tsv", sep="\t", dtype=str)
    assert dict(zip(excluded["participant_id"], excluded["problem"], strict=True)) == problems()
    index = pd.read_csv(study.results / "images" / "index.tsv", sep="\t", dtype=str)
    assert list(index["participant_id"]) == sorted(GOOD)
    missing = pd.read_csv(study.results / "private" / "missing.tsv", sep="\t", dtype=str)
    assert dict(zip(missing["participant_id"], missing["reason"], strict=True)) == {
        "aFolder": "the image aFolder is a folder",
        "aLink": "the image aLink.nii.gz is a link whose file is not there (git-annex or DataLad: get it first)",
        "nobody": "no image nobody.nii.gz",
    }


def test_bad_headers_stop_the_run_before_data_are_read(study):
    results, words = failing(study)
    bad = [f"{study.folder / person / HEADERS[person][0]}: {HEADERS[person][2]}" for person in sorted(HEADERS)]
    expected = refusal(
        f"{len(bad)} images cannot be read; every one must be a whole 3D volume (.nii or .nii.gz)",
        bad,
        "Fetch or convert these files again, take these people out of the table, or set images.on_bad_image: "
        "exclude to go on without them.",
    )
    assert f"\n{expected}\n" in words
    assert not results.exists()


def test_bad_data_stop_the_run_before_anything_is_trained(study):
    results, _ = failing(study, *HEADERS)
    bad = [f"{person}: {problem}" for person, problem in sorted(problems().items()) if person not in HEADERS]
    assert said(results / "logs" / "stack_images.log") == refusal(
        f"{len(bad)} of {len(bad) + len(GOOD)} images cannot be used",
        bad,
        "Mend them, or set images.on_bad_image: exclude to go on without these people.",
    )


def test_a_pickle_in_the_place_of_a_network(study):
    """Of the people with good images; the file, which would write another when it was loaded, is not loaded."""
    ran, path = study.folder / "ran", study.folder / "w.safetensors"

    class Trap:
        def __reduce__(self):
            return Path.write_text, (ran, "ran")

    path.write_bytes(pickle.dumps(Trap()))
    config = {**study.config, "interpret": {"weights": str(path)}}
    ended = study.run("results/bad/models/fold-external/weights.safetensors", config=config, check=False)
    assert ended.returncode == 1
    assert said(study.results / "logs" / "import_network.log") == (
        f"{path}: not a whole safetensors file (Error while deserializing header: header too large).\n"
        "A .pt or .pth file is converted once, where it is trusted:\n"
        "  import torch; from safetensors.torch import save_file\n"
        "  state = torch.load('weights.pt', map_location='cpu', weights_only=True)\n"
        "  save_file({k: v.contiguous() for k, v in state.items()}, 'weights.safetensors')"
    )
    assert not ran.exists()
    assert not list(study.results.glob("models/*/weights.safetensors"))
    pickle.loads(pickle.dumps(Trap()))
    assert ran.read_text() == "ran"
