"""People from a plain table: one row a person, any label column, paths of images in a column or by a pattern."""

from pathlib import Path

from voxplain.base.errors import refuse
from voxplain.cohort.buckets import Bucket, image_folder
from voxplain.cohort.restricted import is_restricted_field
from voxplain.cohort.roster import Roster, below_root, fill_pattern, sheet_frame
from voxplain.cohort.sheets import Sheet, read_sheet


def read_people_table(settings: dict, target: str) -> Roster:
    """Read a CSV or TSV of people, such as the ``participants.tsv`` of a BIDS data set.

    Parameters
    ----------
    settings : dict
        ``cohort.table`` of the config: ``file``, ``root`` (default: the file's folder), ``id_column``; either
        ``image_column`` or ``image_pattern``; optionally ``mask_column`` or ``mask_pattern``, ``group_column``,
        ``size_column`` (head size, mm³) and ``age_column``.
    target : str
        Column to predict.

    Raises
    ------
    InputError
        See `voxplain.cohort.sheets` and `voxplain.cohort.roster`; also for people without an image path and for one
        image that several people share.
    """
    sheet = read_sheet(settings["file"], "cohort.table.file")
    root = table_root(settings)
    ids = sheet.ids(settings.get("id_column") or "participant_id", "cohort.table.id_column")

    images = _paths(settings, "image", sheet, ids, root)
    if images is None:
        refuse(
            "cohort.table: where the images are is not said",
            advice="Set image_column, a column of paths, or image_pattern, such as 'anat/sub-{id}_T1w.nii.gz'.",
        )
    _check_images(images, ids, f"cohort.table.image_column of {sheet}")
    masks = _paths(settings, "mask", sheet, ids, root)
    people = sheet_frame(sheet, ids, target, settings, "cohort.table", image=images, mask=masks)
    return Roster(people, str(sheet), root, is_restricted_field(target), size_source=settings.get("size_column") or "")


def table_root(settings: dict) -> Path | Bucket:
    """Return the folder that image paths are relative to: the setting, or else the folder of the table."""
    if settings.get("root"):
        return image_folder(settings["root"], "cohort.table.root")
    return Path(settings["file"]).parent


def _paths(settings: dict, what: str, sheet: Sheet, ids: list[str], root: Path | Bucket) -> list[str | None] | None:
    column, pattern = settings.get(f"{what}_column"), settings.get(f"{what}_pattern")
    if column and pattern:
        refuse(f"cohort.table: {what}_column and {what}_pattern are both set", advice="Keep one of them.")
    if pattern:
        return fill_pattern(pattern, ids, f"cohort.table.{what}_pattern")
    if column:
        setting = f"cohort.table.{what}_column"
        return below_root(sheet.column(column, setting), ids, root, f"{setting} of {sheet}")
    return None


def _check_images(images: list[str | None], ids: list[str], where: str) -> None:
    without = [person for person, image in zip(ids, images, strict=True) if image is None]
    if without:
        refuse(f"{where}: {len(without)} people have no image path", without, "Fill the cells or delete the rows.")
    people_of: dict[str, list[str]] = {}
    for person, image in zip(ids, images, strict=True):
        people_of.setdefault(image, []).append(person)
    shared = [f"{image}: {', '.join(people)}" for image, people in people_of.items() if len(people) > 1]
    if shared:
        refuse(f"{where}: {len(shared)} images belong to more than one person", shared, "Give everyone an own image.")
