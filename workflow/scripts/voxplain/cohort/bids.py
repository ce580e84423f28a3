"""People of a folder of fMRIPrep derivatives: BIDS names, a participants.tsv, a T1-weighted image and its brain mask.

``sub-<id>[/ses-<session>]/anat/sub-<id>[_ses-<session>][_acq-..][_run-..]_space-<space>[_res-..]_desc-preproc_T1w.nii.gz``
and, of the same name otherwise, ``.._desc-brain_mask.nii.gz``: the preprocessed image still has its skull.

The tree is never walked: of each person two or three folders are listed, when images are looked for.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from voxplain.base.errors import refuse
from voxplain.cohort.buckets import is_remote
from voxplain.cohort.restricted import is_restricted_field
from voxplain.cohort.roster import Places, Roster, sheet_frame
from voxplain.cohort.sheets import read_sheet

# What fMRIPrep leaves in the names of anatomical images, beside what has a setting of its own.
ENTITIES = ("acq", "ce", "cohort", "echo", "inv", "mod", "part", "rec", "res", "run")
IMAGE, MASK = "desc-preproc", "desc-brain_mask"
EXTENSIONS = (".nii.gz", ".nii")
SETTINGS = {"ses": "cohort.bids.session"} | {name: f"cohort.bids.entities: {{{name}: ...}}" for name in ENTITIES}


def read_bids(settings: dict, target: str) -> Roster:
    """Read the participants.tsv of a BIDS data set whose derivatives hold the images.

    Parameters
    ----------
    settings : dict
        ``cohort.bids`` of the config: ``root``; optionally ``participants``, ``space``, ``session``, ``entities``,
        ``suffix``, ``group_column``, ``size_column`` (head size, mm³) and ``age_column``.
    target : str
        Column to predict.

    Returns
    -------
    Roster
        Without paths of images, which its ``find`` gives.

    Raises
    ------
    InputError
        See `voxplain.cohort.sheets`; also without a participants.tsv.
    """
    sheet = read_sheet(participants_file(settings), "cohort.bids.participants")
    ids = sheet.ids("participant_id", "cohort.bids.participants")
    return Roster(
        sheet_frame(sheet, ids, target, settings, "cohort.bids"),
        str(sheet),
        bids_root(settings),
        is_restricted_field(target),
        size_source=settings.get("size_column") or "",
        find=partial(find_images, settings=settings),
    )


def bids_root(settings: dict) -> Path:
    """Return the folder of the derivatives.

    Raises
    ------
    InputError
        For one in a bucket, where names cannot be looked up by listing folders.
    """
    if is_remote(settings["root"]):
        refuse(
            f"cohort.bids.root: {settings['root']} lies in a bucket, which only hcp and table can read from",
            advice="Take cohort.source: table, with the participants.tsv as cohort.table.file and the names of the "
            "images as image_pattern and mask_pattern.",
        )
    return Path(settings["root"]).expanduser()


def participants_file(settings: dict) -> Path:
    """Return the table of people: the setting, or else that of the derivatives.

    Raises
    ------
    InputError
        Without a folder of derivatives, and when none is named and they have none, as fMRIPrep leaves them.
    """
    if settings.get("participants"):
        return Path(settings["participants"]).expanduser()
    root = bids_root(settings)
    if not root.is_dir():
        refuse(f"cohort.bids.root: {root} is not a folder", advice=f"Looked from {Path.cwd()}.")
    own = root / "participants.tsv"
    if not own.is_file():
        refuse(
            f"cohort.bids.participants: {own} does not exist",
            advice="fMRIPrep writes no table of people. Name the participants.tsv of the raw data set. "
            f"Looked from {Path.cwd()}.",
        )
    return own


def check_space(cohort: dict, images: dict) -> None:
    """Refuse native images that nothing brings into MNI space; opens no file.

    Parameters
    ----------
    cohort, images : dict
        Sections of the config, with their defaults filled in.

    Raises
    ------
    InputError
    """
    if cohort["source"] == "bids" and cohort["bids"]["space"] is None and images["align"] == "none":
        refuse(
            "cohort.bids.space: null takes native images, which lie as the scanner saw them, but images.align is none",
            advice="Set images.align to affine (or syn, rigid), or cohort.bids.space to a space that fMRIPrep wrote.",
        )


def find_images(ids: Sequence[str], settings: dict) -> Places:
    """Look for everybody's preprocessed image; the brain mask has its name.

    Parameters
    ----------
    ids : sequence of str
        Without ``sub-``.
    settings : dict
        ``cohort.bids`` of the config.

    Returns
    -------
    Places
        Paths relative to the root. Whether a link leads anywhere, and whether the mask exists, is not looked up.

    Raises
    ------
    InputError
        Naming everyone with several images that fit, and the settings that choose one of them.
    """
    root = str(bids_root(settings))
    end = tuple(f"_{IMAGE}_{settings.get('suffix') or 'T1w'}{extension}" for extension in EXTENSIONS)
    session = str(settings.get("session") or "").removeprefix("ses-")
    wanted = {"space": settings.get("space"), **(settings.get("entities") or {})}
    places, several, ways = Places(), [], []
    for person in ids:
        images = list(_preprocessed(root, f"sub-{person}", session, end))
        fitting = [path for path in images if _fits(_entities(path), wanted)]
        if len(fitting) == 1:
            places.images[person] = fitting[0]
            places.masks[person] = _mask_of(fitting[0], end)
        elif fitting:
            differing = _differences(fitting)
            several.append(f"{person}: " + ("; ".join(map(_spell, differing.items())) or ", ".join(fitting)))
            ways += [SETTINGS[name] for name in differing if name in SETTINGS]
        else:
            places.reasons[person] = _reason(root, person, session, end, images, wanted)
    if several:
        choices = " and ".join(dict.fromkeys(ways)) or "cohort.bids.entities"
        refuse(
            f"cohort.bids: {len(several)} people have several images below {root}, and which one to take is not said",
            several,
            f"Set {choices} to the one to take (null of an entity: the image without it), or move the others away.",
        )
    return places


def _preprocessed(root: str, person: str, session: str, end: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths, relative to the root, of a person's preprocessed images of all spaces."""
    folders = [f"{person}/ses-{session}"] if session else [person, *_sessions(root, person)]
    for folder in folders:
        try:
            with os.scandir(f"{root}/{folder}/anat") as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(end))
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield from (f"{folder}/anat/{name}" for name in names)


def _sessions(root: str, person: str) -> list[str]:
    try:
        with os.scandir(f"{root}/{person}") as entries:
            return sorted(f"{person}/{entry.name}" for entry in entries if entry.name.startswith("ses-"))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entities(path: str) -> dict[str, str]:
    """Return ``{'sub': '01', 'space': ..}`` of a BIDS name, without the suffix."""
    parts = os.path.basename(path).split("_")[:-1]
    return dict(part.split("-", 1) for part in parts if "-" in part)


def _fits(entities: dict[str, str], wanted: dict) -> bool:
    return all(_same(entities.get(name), value) for name, value in wanted.items())


def _same(label: str | None, value: object) -> bool:
    """Tell whether a name's label is the setting's; ``run-01`` is run 1, and null is no such label."""
    if label is None or value is None:
        return label is value
    label, value = str(label), str(value)
    return label == value or (label.isdigit() and value.isdigit() and int(label) == int(value))


def _mask_of(image: str, end: tuple[str, ...]) -> str:
    ending = next(one for one in end if image.endswith(one))
    return image.removesuffix(ending) + f"_{MASK}" + next(one for one in EXTENSIONS if ending.endswith(one))


def _differences(images: list[str]) -> dict[str, list[str | None]]:
    """Return the labels of each entity that tells the images apart."""
    named = [_entities(image) for image in images]
    everything = dict.fromkeys(name for entities in named for name in entities)
    labels = {name: list(dict.fromkeys(entities.get(name) for entities in named)) for name in everything}
    return {name: found for name, found in labels.items() if len(found) > 1}


def _spell(difference: tuple[str, list[str | None]]) -> str:
    name, labels = difference
    return ", ".join(_label(name, label) for label in labels)


def _label(name: str, label: object) -> str:
    return f"no {name}" if label is None else f"{name}-{label}"


def _reason(root: str, person: str, session: str, end: tuple[str, ...], images: list[str], wanted: dict) -> str:
    """Say why a person has no image: what was looked for, and what there is instead."""
    folder = f"sub-{person}/ses-{session}" if session else f"sub-{person}"
    if not os.path.isdir(f"{root}/{folder}"):
        return f"no folder {folder}"
    if not images:
        return f"no image ..{end[0]} in {folder}"
    there = ["_".join(_label(name, _entities(image).get(name)) for name in wanted) for image in images]
    asked = "_".join(_label(name, value) for name, value in wanted.items())
    return f"no image with {asked} in {folder}, only with {', '.join(dict.fromkeys(there))}"
