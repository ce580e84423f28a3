import pytest

from voxplain.base.errors import InputError
from voxplain.population.atlas_labels import hemisphere, read_labels

EXPECTED = {1: "Hippocampus L", 2: "Hippocampus R", 5: "Brain stem"}
XML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<atlas version="1.0"><header><name>Some atlas</name>{type}</header><data>
<label index="{a}" x="1" y="2" z="3">Hippocampus L</label>
<label index="{b}" x="1" y="2" z="3">Hippocampus
   R</label>
<label index="{c}" x="1" y="2" z="3">Brain stem</label></data></atlas>"""

KINDS = {
    "tsv": "index\tname\n0\tBackground\n1\tHippocampus L\n2\tHippocampus R\n5\tBrain stem\n",
    "tsv in another order with more columns": (
        "Name\tcolour\tIndex\nBrain stem\t#aaa\t5\nHippocampus R\t#bbb\t2\nHippocampus L\t#ccc\t1\n"
    ),
    "csv": 'index,name\n1,"Hippocampus L"\n2,Hippocampus R\n5,Brain stem\n',
    "byte order mark and Windows lines": (
        "\ufeffindex\tname\r\n1\tHippocampus L\r\n2\tHippocampus R\r\n5\tBrain stem\r\n"
    ),
    "look-up table": (
        "#No. Label Name: R G B A\n\n0 Unknown 0 0 0 0\n1  Hippocampus L  255 0 0 0\n"
        "2  Hippocampus R  0 255 0 0\n5\tBrain stem\t0\t0\t255\t0\n"
    ),
    "look-up table without alpha": "1 Hippocampus L 255 0 0\n2 Hippocampus R 0 255 0\n5 Brain stem 0 0 255\n",
    "index and name": "1 Hippocampus L\n2 Hippocampus R\n5 Brain stem\n",
    "fsl label": XML.format(type="<type>Label</type>", a=1, b=2, c=5),
    "fsl label with background": XML.format(type="<type>Label</type>", a=1, b=2, c=5).replace(
        "<data>", '<data><label index="0">Unclassified</label>'
    ),
    "fsl probabilistic, in FSL's spelling": XML.format(type="<type>Probabalistic</type>", a=0, b=1, c=4),
    "fsl without a type": XML.format(type="", a=1, b=2, c=5),
}


@pytest.mark.parametrize("text", KINDS.values(), ids=KINDS.keys())
def test_kinds_of_tables(tmp_path, text):
    (tmp_path / "labels.txt").write_bytes(text.encode())
    table = read_labels(tmp_path / "labels.txt")
    assert dict(zip(table["index"].tolist(), table["name"], strict=True)) == EXPECTED
    assert table["index"].is_monotonic_increasing


def test_one_name_a_line(tmp_path):
    (tmp_path / "labels.txt").write_text("7Networks_LH_Vis_1\nArea 44 L\n\n2nd region R\n")
    table = read_labels(tmp_path / "labels.txt")
    assert table.to_dict("list") == {"index": [1, 2, 3], "name": ["7Networks_LH_Vis_1", "Area 44 L", "2nd region R"]}


def test_numbers_that_end_a_name_are_not_taken_for_a_colour(tmp_path):
    (tmp_path / "labels.txt").write_text("1 Area 44\n2 Areas 1 2 3\n")
    assert read_labels(tmp_path / "labels.txt")["name"].tolist() == ["Area 44", "Areas 1 2 3"]
    (tmp_path / "labels.txt").write_text("1 Area 44 255 0 0 255\n2 Area 6 0 0 0 255\n")
    assert read_labels(tmp_path / "labels.txt")["name"].tolist() == ["Area 44", "Area 6"]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "index\tname\n1\ta\n1\tb\n2\t\nx\tc\n-4\td\n",
            ["4 problems", "twice: 'a' and 'b'", "2 has no", "'x'", "'-4'"],
        ),
        ("1 a\nb\nc\n", ["others do not", "'b'", "'c'"]),
        ("index\tname\n1\ta\tb\tc\n2\tb\n", ["1 rows", "do not have 2 columns", "b"]),
        ("\n# only a comment\n", ["are empty"]),
        ("<atlas><label>", ["not well-formed"]),
        ("<atlas></atlas>", ["no <label>"]),
        ("<atlas><data><label>x</label></data></atlas>", ["index ''"]),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a><label index="1">&b;</label></a>', ["XML entities"]),
    ],
)
def test_refusals_name_every_line(tmp_path, text, messages):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(InputError) as error:
        read_labels(tmp_path / "labels.txt")
    for message in ["labels.txt", *messages]:
        assert message in str(error.value)


def test_files_that_are_not_text_are_refused(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("Left-Hippocampus", "left"),
        ("Right Accumbens", "right"),
        ("hippocampus left", "left"),
        ("ctx-rh-bankssts", "right"),
        ("7Networks_LH_Vis_1", "left"),
        ("lh.G_front_sup", "left"),
        ("A8m_L", "left"),
        ("A13 OrG R", "right"),
        ("Thalamus_l", "left"),
        ("SFG_L_7_1", "left"),
        ("MVOcC _R_5_2", "right"),
        ("R_V1_ROI", "right"),
        ("Corticospinal tract (R)", "right"),
        ("Demo GM 12 L", "left"),
        ("L G_and_S_frontomargin", "left"),
        ("Brain-Stem", "both"),
        ("Cerebellar vermis", "both"),
        ("Fornix L/R", "both"),
        ("Left and right thalamus", "both"),
        ("Lateral orbital region", "both"),
        ("Area r of Brown", "both"),
        ("", "both"),
    ],
)
def test_side_of_a_name(name, side):
    assert hemisphere(name) == side
