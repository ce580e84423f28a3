"""One look for every figure: colours, type, sizes, and how a figure becomes a file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voxplain.base.errors import refuse
from voxplain.base.files import write_table, written_whole
from voxplain.population.groups import TERTILES
from voxplain.population.maps import JOINT

# Okabe & Ito's palette, told apart with every common colour blindness.
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
INK, MUTED, FAINT, PAPER = "#1b2430", "#5d6b7a", "#dfe4ea", "#ffffff"

SEQUENTIAL = "inferno"  # for maps that are never negative
DIVERGING = "managua_r"  # for signed maps: dark around 0, blue below and orange above
HEAT = "GnBu"  # for the Dice table

SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a figure is the same on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "axes.titlecolor": INK,
    "text.parse_math": False,  # labels come from tables: a `$` is a dollar
    "legend.frameon": False,
    "savefig.facecolor": "auto",
    "svg.hashsalt": "voxplain",  # equal figures give equal files
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}

SCREEN_DPI, PRINT_DPI = 110, 300
# By the format that the page shows: what a figure is saved as, and the dpi of what is made of dots.
FORMATS = {
    "svg": {"svg": SCREEN_DPI, "pdf": PRINT_DPI, "png": PRINT_DPI},
    "png": {"png": SCREEN_DPI, "pdf": PRINT_DPI},
}
NO_METADATA = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}

METHOD_TITLES = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "guided_backprop": "Guided backpropagation",
    "perturbation": "Meaningful Perturbations",
    "lrp": "Layer-wise relevance propagation",
    "noise": "Noise importance",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "Integrated Gradients",
    "occlusion": "Occlusion",
}

MODEL_TITLES = {
    "cnn": "3D CNN",
    "svm": "SVM on voxels",
    "xgboost": "XGBoost",
    "knn": "k nearest neighbours",
    "logistic": "Logistic regression",
    "ridge": "Ridge regression",
    "svr": "SVR",
    "tiv": "Head size alone",
    "age": "Age alone",
}

METRIC_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC",
    "mae": "Mean absolute error",
    "r": "Correlation r",
}


def method_title(method: str) -> str:
    """Return a method's name as people write it; an unknown one as it stands."""
    return METHOD_TITLES.get(method, method)


def model_title(model: str) -> str:
    """Return a model's name as people write it; an unknown one as it stands."""
    return MODEL_TITLES.get(model, model)


def metric_title(metric: str) -> str:
    """Return a metric's name as people write it; an unknown one as it stands."""
    return METRIC_TITLES.get(metric, metric)


def group_title(group: str) -> str:
    """Return a group's name for headings: ``all people`` for the joint map, otherwise ``people of class ...``."""
    if group in TERTILES:
        return f"the {group.replace('-', ' ')} of the target"
    return "all people" if group == JOINT else f"class {group}"


def difference_title(groups: Sequence[str]) -> str:
    """Return what a joint map shows that is the second group's map minus the first one's."""
    first, second = (group_title(group) for group in groups)
    return f"{second} minus {first}"


@contextmanager
def drawn(
    out: str | os.PathLike,
    width: float,
    height: float,
    data: pd.DataFrame | Mapping[str, pd.DataFrame],
    **options,
) -> Iterator[Figure]:
    """Give an empty figure and, when the block ends well, save it in all its formats beside the numbers behind it.

    A chart (``out`` ends in ``.svg``) is saved as SVG, PDF and PNG of 300 dpi, a picture of brains (``.png``) as PNG of
    110 dpi, which the page embeds, and PDF. The numbers lie beside them as ``.tsv``. No file holds a date or a program
    version, so that equal content gives equal bytes.

    Parameters
    ----------
    out : path-like
        ``.svg`` or ``.png``; the others differ in the suffix alone.
    width, height : float
        Inches.
    data : DataFrame or mapping of name to DataFrame
        What is drawn. Several tables become one, with their names in the column ``part``.
    options
        Of `matplotlib.figure.Figure`; the layout is constrained unless another is given.

    Raises
    ------
    InputError
        For another suffix.
    """
    kind = Path(out).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        refuse("A figure is written as .svg or .png; got", [out])
    options.setdefault("layout", "constrained")
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), dpi=SCREEN_DPI, **options)
        yield figure
        for name, dpi in FORMATS[kind].items():
            with written_whole(Path(out).with_suffix(f".{name}")) as temporary:
                figure.savefig(temporary, format=name, dpi=dpi, metadata=NO_METADATA[name])
    if isinstance(data, Mapping):
        data = pd.concat([table.assign(part=part) for part, table in data.items()])
        data = data[["part", *data.columns.drop("part")]]
    write_table(data, Path(out).with_suffix(".tsv"))


def say(figure: Figure, text: str, colour: str = MUTED) -> None:
    """Write one sentence in the middle of a figure that has nothing else to show."""
    figure.text(0.5, 0.5, text, ha="center", va="center", color=colour, wrap=True)


def panels(figure: Figure, count: int, across: int, **options) -> list[Axes]:
    """Return `count` axes, at most `across` in a row; what is left of the last row stays empty.

    Parameters
    ----------
    options
        Of `matplotlib.figure.Figure.subplots`.
    """
    across = max(1, min(across, count))
    axes = figure.subplots(rows_of(count, across), across, squeeze=False, **options).ravel()
    for empty in axes[count:]:
        empty.set_visible(False)
    for lowest in axes[max(0, count - across) : count]:
        lowest.tick_params(labelbottom=True)  # shared axes would show them below an empty panel
    return list(axes[:count])


def rows_of(count: int, across: int) -> int:
    """Return the number of rows that `count` panels need."""
    return -(-max(count, 1) // max(1, min(across, count)))


def key_above(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """Draw one legend above the panels, with every label once."""
    found: dict[str, object] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside upper left", ncols=columns, fontsize=8)


def name_rows(axes: Axes, names: Sequence[str], room: float = 0.55) -> None:
    """Write names beside the rows 0, 1, ... of a chart, the first on top, without a line and ticks beside them."""
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.set_ylim(len(names) - 1 + room, -room)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    light_grid(axes, "x")


def light_grid(axes: Axes, axis: str) -> None:
    """Draw faint grid lines along one axis (``x`` or ``y``) and drop its tick marks."""
    axes.grid(axis=axis)
    axes.tick_params(axis=axis, length=0)


def shorten(text: str, longest: int = 38) -> str:
    """Cut a label that would push the plot aside, in the middle, where long region names differ least."""
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return text[:head].rstrip() + "…" + text[-(longest - 1 - head) :].lstrip()


def in_order(values: Sequence[str], first: Sequence[str] = ()) -> list[str]:
    """Return the distinct values: those of `first` that occur, then the others as they come."""
    distinct = list(dict.fromkeys(values))
    return [v for v in first if v in distinct] + [v for v in distinct if v not in first]
