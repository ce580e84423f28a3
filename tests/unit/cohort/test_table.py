"""Plain tables: how they are read, and what is refused."""

import pytest

from voxplain.base.errors import InputError
from voxplain.cohort.roster import below_root, fill_pattern
from voxplain.cohort.sheets import read_header, read_ids, read_sheet
from voxplain.cohort.table import read_people_table


def written(folder, content, name="people.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(folder, content, name="people.tsv", **settings):
    path = written(folder, content, name)
    return {
        "file": str(path),
        "root": str(folder),
        "id_column": "participant_id",
        "image_pattern": "{id}.nii",
    } | settings


@pytest.mark.parametrize(
    "content",
    [
        "participant_id\tsex\tsite\nsub-01\tF\tA, B\nsub-02\tn/a\tC\n",
        b"\xef\xbb\xbfparticipant_id\tsex\tsite\r\nsub-01\tF\tA, B\r\n\r\nsub-02\t\tC\r\n",
        'participant_id,sex,site\nsub-01, F ,"A, B"\n"sub-02",NA,C',
        "participant_id;sex;site\r01;F;A, B\r02;nan;C\r",
        '"participant_id", "sex", "site",\n"01", "F", "A, B",\n"02", "null", "C",\n',
    ],
    ids=["tsv", "BOM and CRLF", "csv", "semicolons and CR", "quotes and trailing commas"],
)
def test_the_same_table_in_every_dialect(tmp_path, content):
    sheet = read_sheet(written(tmp_path, content), "file")
    assert sheet.ids("participant_id", "id") == ["01", "02"]
    assert sheet.column("sex", "sex") == ["F", None]
    assert sheet.column("site", "site") == ["A, B", "C"]
    assert [name for name in read_header(sheet.path, "file") if name] == ["participant_id", "sex", "site"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the table is empty"),
        (b"\n \n", "the table is empty"),
        (b"participant_id\tsex\n", "a header but no rows"),
        (b"participant_id\tsex\n01\tF\n02\n03\tF\tmore\n", r"2 lines do not have 2 cells[^$]*line 3: 1 [^$]*line 4: 3"),
        (b"participant_id\tsex\n01\t\xe9\n", "line 2 is not UTF-8"),
        (b"PK\x03\x04rest", "a spreadsheet"),
        ("participant_id\tsex\n".encode("utf-16"), "UTF-16"),
        (b'participant_id\tsex\n01\tF\n02\t"M\n03\tF\n', "cannot be read"),
    ],
)
def test_unreadable_tables(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_sheet(written(tmp_path, content), "cohort.table.file")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"cohort\.table\.file: .*none\.tsv does not exist"):
        read_sheet(tmp_path / "none.tsv", "cohort.table.file")
    with pytest.raises(InputError, match="is a folder"):
        read_sheet(tmp_path, "cohort.table.file")


def test_unknown_column_names_the_likely_one_first(tmp_path):
    settings = table(tmp_path, "participant_id\tage\tSex\n01\t3\tF\n")
    with pytest.raises(InputError) as error:
        read_people_table(settings, "sexx")
    lines = str(error.value).splitlines()
    assert "cohort.target: there is no column 'sexx'" in lines[0]
    assert lines[1:] == ["  - Sex", "  - participant_id", "  - age", "Did you mean 'Sex'?"]


def test_a_column_that_stands_twice_is_refused_only_when_asked_for(tmp_path):
    settings = table(tmp_path, "participant_id\tvolume\tvolume\tsex\n01\t1\t2\tF\n")
    assert read_people_table(settings, "sex").people["target"].tolist() == ["F"]
    with pytest.raises(InputError, match="'volume' stands 2 times"):
        read_people_table(settings, "volume")


def test_every_bad_or_repeated_id_is_named(tmp_path):
    with pytest.raises(InputError, match=r"2 participant ids are not plain[^$]*'a_1'[^$]*'\.\./x'"):
        read_people_table(table(tmp_path, "participant_id\tsex\na_1\tF\n../x\tF\nok\tM\n"), "sex")
    with pytest.raises(InputError, match=r"2 participant ids occur more than once\n  - 01\n  - 02"):
        read_people_table(table(tmp_path, "participant_id\tsex\n01\tF\n02\tF\nsub-01\tM\n02\tM\n"), "sex")
    with pytest.raises(InputError, match=r"2 rows have no participant_id[^$]*row 1\n  - row 3"):
        read_people_table(table(tmp_path, "participant_id\tsex\n\tF\n02\tF\nn/a\tM\n"), "sex")


def test_all_columns_arrive(tmp_path):
    content = "who,dx,family,tiv,years,t1,brain\nsub-01,AD,f1,1.5e6,70,a/1.nii,m/1.nii\n02,CN,,,,./2.nii,n/a\n"
    settings = table(
        tmp_path,
        content,
        id_column="who",
        image_pattern=None,
        image_column="t1",
        mask_column="brain",
        group_column="family",
        size_column="tiv",
        age_column="years",
    )
    roster = read_people_table(settings, "dx")
    assert roster.people.to_numpy().tolist() == [
        ["01", "AD", "f1", "1.5e6", "70", "a/1.nii", "m/1.nii"],
        ["02", "CN", None, None, None, "2.nii", None],
    ]
    assert roster.size_source == "tiv"


def test_patterns_and_default_root(tmp_path):
    settings = table(
        tmp_path, "participant_id\tsex\nsub-7\tF\n", image_pattern="./sub-{id}/sub-{id}.nii", mask_pattern="m/{id}.nii"
    )
    roster = read_people_table(settings | {"root": None}, "sex")
    assert roster.people[["image", "mask"]].to_numpy().tolist() == [["sub-7/sub-7.nii", "m/7.nii"]]
    assert roster.root == tmp_path
    with pytest.raises(InputError, match="mask_column and mask_pattern are both set"):
        read_people_table(settings | {"mask_column": "sex"}, "sex")
    with pytest.raises(InputError, match="Set image_column"):
        read_people_table(settings | {"image_pattern": None}, "sex")


@pytest.mark.parametrize("pattern", ["all.nii", "{id}/{session}.nii", "{id", "/data/{id}.nii", "../{id}.nii", "{id}}"])
def test_bad_patterns(pattern):
    with pytest.raises(InputError, match=r"^cohort\.hcp\.image"):
        fill_pattern(pattern, ["1"], "cohort.hcp.image")


def test_paths_must_stay_below_the_root(tmp_path):
    cells = [f"{tmp_path}/a/1.nii", "b/2.nii", "../3.nii", "/etc/4.nii", None, f"{tmp_path}/../5.nii"]
    assert below_root(cells[:2] + [None], ["1", "2", "5"], tmp_path, "here") == ["a/1.nii", "b/2.nii", None]
    with pytest.raises(InputError) as error:
        below_root(cells, list("123456"), tmp_path, "here")
    assert "3 paths" in str(error.value)
    assert all(f"{person}: " in str(error.value) for person in "346")
    assert "1: " not in str(error.value)


def test_a_root_that_is_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for cell in (f"{tmp_path}/real/1.nii", f"{tmp_path}/link/1.nii"):
        assert below_root([cell], ["1"], tmp_path / "link", "here") == ["1.nii"]


def test_images_without_path_or_with_two_owners(tmp_path):
    settings = table(tmp_path, "participant_id\tsex\tt1\n1\tF\ta.nii\n2\tF\t./a.nii\n3\tF\tb.nii\n", image_pattern=None)
    with pytest.raises(InputError, match=r"1 images belong to more than one person\n  - a\.nii: 1, 2"):
        read_people_table(settings | {"image_column": "t1"}, "sex")
    settings = table(tmp_path, "participant_id\tsex\tt1\n1\tF\t\n2\tF\tn/a\n3\tF\tb.nii\n", image_pattern=None)
    with pytest.raises(InputError, match=r"2 people have no image path\n  - 1\n  - 2"):
        read_people_table(settings | {"image_column": "t1"}, "sex")


def test_lists_of_ids(tmp_path):
    assert read_ids(written(tmp_path, b"\xef\xbb\xbf100206\r\n\r\nsub-100307 # second\r\n# none\r\n"), "ids") == [
        "100206",
        "100307",
    ]
    with pytest.raises(InputError, match="has no ids"):
        read_ids(written(tmp_path, "# nobody\n"), "ids")
    with pytest.raises(InputError, match="more than once"):
        read_ids(written(tmp_path, "1\nsub-1\n"), "ids")
