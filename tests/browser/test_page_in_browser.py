"""What a reader of the page sees and does, in a real browser: it opens quietly, draws, answers, and keeps to itself."""

import base64
import gzip
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FIRST, SECOND = ".pane:nth-child(1) canvas", ".pane:nth-child(2) canvas"
DEMO = Path(__file__).resolve().parents[2] / "results" / "demo"
EVIL = "<img src=x onerror=document.title='taken'>"


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int16)


def differ(a, b):
    """Share of the pixels of two pictures that are not alike."""
    return float((np.abs(pixels(a) - pixels(b)).max(axis=-1) > 12).mean())


def is_coloured(png):
    """Share of the pixels that are neither black nor grey."""
    image = pixels(png)
    return float((image.max(axis=-1) - image.min(axis=-1) > 40).mean())


def column(opened, table, number):
    return opened.page.locator(f"{table} tbody tr td:nth-child({number})").all_text_contents()


def test_it_opens_quietly_and_asks_for_nothing(opens, done):
    page = opens()
    assert "The networks" in page.text("h1")
    page.start_viewer()
    assert page.asked[0].endswith("report/index.html")
    assert [url for url in page.asked[1:] if not url.startswith(("data:", "blob:"))] == []
    assert page.said == []
    assert (done.results / "report" / "index.html").stat().st_size < 25_000_000


def test_the_viewer_draws_brain_and_map(opens):
    page = opens().start_viewer()
    for canvas in (FIRST, SECOND):
        image = pixels(page.picture(canvas))
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100
        assert 0.1 < (image.max(axis=-1) > 40).mean() < 0.9
    assert is_coloured(page.picture(FIRST)) > 0.01
    assert page.page.locator("#viewer-missing").is_hidden()


def test_the_slider_hides_weak_voxels_by_hand_and_by_keyboard(opens):
    page = opens().start_viewer()
    page.page.locator("#viewer-threshold").focus()
    page.page.keyboard.press("Home")
    everything = page.picture(FIRST)
    assert page.text("#viewer-percent") == "0 %"
    page.page.keyboard.press("End")
    strongest = page.picture(FIRST)
    assert page.text("#viewer-percent") == "95 %"
    assert differ(everything, strongest) > 0.01
    assert is_coloured(strongest) < is_coloured(everything)
    page.page.locator("#viewer-threshold").fill("0")
    assert differ(everything, page.picture(FIRST)) < 0.002


def test_the_crosshair_is_one_in_all_pictures_and_names_the_region(opens):
    page = opens().start_viewer()
    regions = set()
    before = page.picture(SECOND)
    box = page.page.locator(FIRST).bounding_box()
    for across, down in ((0.22, 0.25), (0.3, 0.3), (0.2, 0.75)):
        page.page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
        page.settle()
        regions.add(page.text("#viewer-where"))
    assert len(regions) == 3
    assert any("Demo" in text for text in regions)
    assert differ(before, page.picture(SECOND)) > 0.01


def test_the_crosshair_goes_where_numbers_and_keys_say(opens):
    page = opens().start_viewer()
    for axis, value in (("x", "30"), ("y", "-20"), ("z", "12")):
        page.page.locator(f"#viewer-{axis}").fill(value)
        page.page.locator(f"#viewer-{axis}").press("Tab")
    assert page.text("#viewer-where").startswith("x 30  y −20  z 12")
    assert " R" in page.text("#viewer-where")  # positive x is the right side
    page.page.locator("#viewer-x").fill("-30")
    page.page.locator("#viewer-x").press("Tab")
    assert " L" in page.text("#viewer-where")
    page.page.locator(FIRST).focus()
    page.page.keyboard.press("ArrowRight")
    assert page.text("#viewer-where").startswith("x −27  y −20  z 12")
    page.page.keyboard.press("PageUp")
    page.page.keyboard.press("ArrowUp")
    assert page.text("#viewer-where").startswith("x −27  y −17  z 15")


def test_the_strongest_place_is_the_strongest(opens):
    page = opens().start_viewer()
    page.page.locator(".pane:nth-child(2) button").click()
    page.settle()
    sign, value = page.text(".pane:nth-child(2) .value").removeprefix("here ").split()
    ends = [page.text(f".pane:nth-child(2) .scale span:nth-child({number})") for number in (1, 3)]
    assert value == ends["≤≥".index(sign)]
    assert value != "0"


def test_groups_and_methods_are_chosen(opens):
    page = opens().start_viewer()
    before = page.picture(FIRST)
    page.page.locator("#viewer-group").select_option("F")
    page.wait("document.querySelector('.pane b').textContent.includes('class F')")
    assert differ(before, page.picture(FIRST)) > 0.005
    boxes = page.page.locator("#viewer-methods input")
    chosen = [number for number, box in enumerate(boxes.all()) if box.is_checked()]
    another = min(set(range(boxes.count())) - set(chosen))
    assert len(chosen) == 2
    boxes.nth(another).check()
    page.wait("document.querySelectorAll('.pane:not([hidden])').length === 3")
    for number in chosen:
        boxes.nth(number).uncheck()
    page.wait("document.querySelectorAll('.pane:not([hidden])').length === 1")
    assert boxes.nth(another).is_disabled()  # one always stays


def test_tables_sort_by_mouse_and_keyboard(opens):
    page = opens()
    table = "#regions table"
    heads = [text.strip() for text in page.page.locator(f"{table} thead th").all_text_contents()]
    place = heads.index("Share of the map") + 1

    def shares():
        return [float(text.split()[0]) for text in column(page, table, place) if text != "n/a"]

    head = page.page.locator(f"{table} thead th:nth-child({place}) button")
    head.click()
    assert shares() == sorted(shares())
    assert head.locator("..").get_attribute("aria-sort") == "ascending"
    head.focus()
    page.page.keyboard.press("Enter")
    assert shares() == sorted(shares(), reverse=True)
    assert head.locator("..").get_attribute("aria-sort") == "descending"
    assert len(set(shares())) > 5


def test_all_regions_are_found_by_searching_and_saved(opens, done):
    page = opens()
    table = "#regions table"
    heads = [text.strip() for text in page.page.locator(f"{table} thead th").all_text_contents()]
    every = (done.results / "tables" / "regions_parcels.tsv").read_text().splitlines()
    page.page.locator("#regions .tools input").fill("demo gm 01, class f")
    page.wait(f"document.querySelector('{table} caption').textContent.startsWith('All regions')")
    found = column(page, table, heads.index("Region") + 1)
    assert len(found) == sum("\tF\t" in line and "\tDemo GM 01" in line for line in every)
    assert all(name.startswith("Demo GM 01") for name in found)
    page.page.locator("#regions .tools input").fill("")
    with page.page.expect_download() as download:
        page.page.locator("#regions .tools button", has_text="Save as TSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert download.value.suggested_filename.endswith(".tsv")
    assert len(lines) == len(every)
    assert {len(line.split("\t")) for line in lines} == {len(lines[0].split("\t"))}


def test_a_person_is_chosen_by_id(opens, done):
    page = opens()
    ids = sorted(path.name[4:-5] for path in (done.results / "report" / "people").glob("*.webp"))
    assert len(ids) == 16
    page.wait("!document.getElementById('person-form').hidden")
    page.page.locator("#person").fill(ids[3])
    page.page.locator("#person").press("Tab")
    assert re.match(rf"{ids[3]} · in truth [FM] · the network says [FM] \((right|wrong)\)", page.text("#person-said"))
    page.wait("document.querySelector('#person-figure img').naturalWidth > 100")
    page.page.locator("#person-after").press("Enter")
    assert page.text("#person-said").startswith(ids[4])
    page.page.locator("#person").fill("nobody")
    page.page.locator("#person").press("Tab")
    assert page.text("#person-said") == "There is no map of nobody."


def test_markup_in_ids_and_regions_stays_text(opens, done, tmp_path):
    html = (done.results / "report" / "index.html").read_text(encoding="utf-8")

    def change(name, edit):
        nonlocal html
        found = re.search(rf'(id="{name}">)(.*?)(</script>)', html, re.S)
        data = edit(json.loads(gzip.decompress(base64.b64decode(found.group(2)))))
        packed = base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()
        html = html[: found.start(2)] + packed + html[found.end(2) :]

    def with_evil_people(data):
        data["people"][0][:3] = [EVIL, EVIL, EVIL]
        return data

    change("people-data", with_evil_people)
    change("regions-0", lambda rows: [[[EVIL] if i == 3 else cell for i, cell in enumerate(row)] for row in rows])
    (tmp_path / "index.html").write_text(html, encoding="utf-8")
    page = opens(tmp_path / "index.html")
    page.wait("!document.getElementById('person-form').hidden")
    page.page.locator("#person").fill(EVIL)
    page.page.locator("#person").press("Tab")
    assert page.text("#person-said").startswith(f"{EVIL} · in truth {EVIL}")
    page.page.locator("#regions .tools button", has_text="Show all").click()
    page.wait("document.querySelector('#regions table caption').textContent.startsWith('All regions')")
    assert EVIL in page.page.locator("#regions table tbody").text_content()
    assert page.page.locator("[onerror]").count() == 0
    assert page.page.title() != "taken"
    # The picture of this person cannot be there: the page says where it should lie.
    page.wait("document.querySelector('#person-figure img').hidden")
    assert "folder people" in page.text("#person-figure figcaption")
    page.said.clear()  # the browser's own word on the missing picture


def test_a_page_without_its_folder_still_opens(opens, done, tmp_path):
    shutil.copy(done.results / "report" / "index.html", tmp_path / "alone.html")
    assert opens(tmp_path / "alone.html").start_viewer().text("#viewer-where").startswith("x ")


def test_without_webgl_the_figures_stay_and_a_line_says_why(browser_without_webgl, done):
    context = browser_without_webgl.new_context()
    page = context.new_page()
    page.goto((done.results / "report" / "index.html").as_uri())
    assert page.locator("#viewer").is_hidden()
    assert "no WebGL 2" in page.locator("#viewer-missing").text_content()
    assert page.locator("#viewer-missing").is_visible()
    assert page.locator("#maps figure.brain img").first.is_visible()
    context.close()


def test_without_scripts_the_page_is_read_as_it_stands(opens):
    page = opens(java_script_enabled=False)
    assert page.page.locator("#viewer").is_hidden()
    assert page.page.locator("#viewer-missing").is_visible()
    assert page.page.locator("#regions table tbody tr").count() > 5
    assert page.page.locator("#maps figure.brain img").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_a_laptop_and_a_phone(opens, keep_pictures, width, scheme):
    page = opens(viewport={"width": width, "height": 844}, color_scheme=scheme).start_viewer()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    back = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) is (scheme == "dark")
    kept = keep_pictures(page, f"{width}-{scheme}")
    assert len(kept) > 8
    assert all(len(np.unique(pixels(path.read_bytes()))) > 20 for path in kept)


@pytest.mark.slow
def test_the_page_of_the_demo(opens, keep_pictures):
    """The demo's page where the demo was run: at full size it opens quietly too, and is within its limit."""
    path = DEMO / "report" / "index.html"
    if not path.is_file():
        pytest.skip("the demo was not run: there is no results/demo/report/index.html")
    page = opens(path).start_viewer()
    assert path.stat().st_size < 25_000_000
    assert is_coloured(page.picture(FIRST)) > 0.01
    before = page.picture(FIRST)
    page.page.locator("#viewer-threshold").fill("90")
    assert differ(before, page.picture(FIRST)) > 0.005
    assert keep_pictures(page, "demo")
