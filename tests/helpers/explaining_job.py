"""A job that explains four people."""

from voxplain.attribution.explaining import explain_people

IDS = ["c3", "a1", "b2", "d4"]
ROWS = [4, 0, 2, 3]
TRUE = ["M", "F", "M", "F"]
LABELS = {"labels": ["F", "M"]}


def starter(network, images, folder):
    """Return a function that runs the job, with other settings where they are given, and returns its folder."""
    stack = images[:, 0].numpy()

    def start(out="out", ids=IDS, rows=ROWS, true=TRUE, method="hirescam", settings=None, batch_size=2, **more):
        explain_people(
            network, more.pop("metadata", LABELS), stack, rows, ids, true, method, settings or {}, "cpu", batch_size,
            folder / "partial" / out, folder / out, seed=3, **more,
        )  # fmt: skip
        return folder / out

    return start
