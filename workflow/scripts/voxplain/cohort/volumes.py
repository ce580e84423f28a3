"""The files of a batch of people, as the workflow hands them to a job."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def files_of(
    people: Mapping[str, Sequence], volumes: str | Sequence[str], masks: Sequence[str] = ()
) -> tuple[list[Path], list[Path | None]]:
    """Return the image and the mask of each person.

    Where they lie is the workflow's business: those of a bucket are copies, which last as long as the job.

    Parameters
    ----------
    people : mapping
        ``image`` and ``mask``, a path of either for each person; a mask that is no text stands for none.
    volumes : str or sequence of str
        A file a person, in the same order; or the folder that the paths of `people` are relative to, as for the
        phantom's volumes.
    masks : sequence of str
        A file for each person with a mask, in the same order.

    Returns
    -------
    images : list of Path
    masks : list of Path or None

    Raises
    ------
    ValueError
        When there are more or fewer files than people.
    """
    with_mask = [isinstance(mask, str) for mask in people["mask"]]
    if isinstance(volumes, str):
        images = [Path(volumes, image) for image in people["image"]]
        return images, [
            Path(volumes, mask) if has else None for mask, has in zip(people["mask"], with_mask, strict=True)
        ]
    if (len(volumes), len(masks)) != (len(with_mask), sum(with_mask)):
        raise ValueError(
            f"{len(volumes)} images, {len(masks)} masks came for {len(with_mask)} people, {sum(with_mask)} with masks"
        )
    rest = iter(masks)
    return [Path(volume) for volume in volumes], [Path(next(rest)) if has else None for has in with_mask]
