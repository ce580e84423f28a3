"""The page of a finished run in a real browser: headless Chromium, driven by Playwright."""

import os
import shutil
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# WebGL 2 on the processor, where there is no graphics card.
SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SECTIONS = "[...document.querySelectorAll('main [id]:is(section, .viewer)')].map((section) => section.id)"
PICTURES = ROOT / "results" / "screenshots"  # for people to look at


def launch(*arguments):
    """Start the browser, or skip with a reason; the Chromium of the system is used, none is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("VOXPLAIN_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH and VOXPLAIN_BROWSER names none")
    driver = playwright.sync_playwright().start()
    # Chromium's own sandbox needs rights that containers do not have.
    started = driver.chromium.launch(executable_path=program, args=["--no-sandbox", *arguments])
    return driver, started


@pytest.fixture(scope="session")
def browser():
    driver, started = launch(*SOFTWARE)
    yield started
    started.close()
    driver.stop()


@pytest.fixture
def browser_without_webgl(browser):
    """Another browser of the same driver, whose pages get no WebGL."""
    started = browser.browser_type.launch(
        executable_path=os.environ.get("VOXPLAIN_BROWSER") or next(filter(None, map(shutil.which, NAMES))),
        args=["--no-sandbox", "--disable-3d-apis"],
    )
    yield started
    started.close()


class Opened:
    """A page from ``file://`` with all that it said and asked for."""

    def __init__(self, browser, path, **options):
        settings = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        self.context = browser.new_context(**settings | options)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append((message.type, message.text)))
        self.page.on("pageerror", lambda error: self.said.append(("pageerror", str(error))))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(Path(path).resolve().as_uri())

    def wait(self, expression, seconds=60):
        """Wait until an expression of the page is true. The page's own policy forbids waiting inside the page."""
        end = time.monotonic() + seconds
        while not (value := self.page.evaluate(expression)):
            assert time.monotonic() < end, f"still not true after {seconds} s: {expression}; it said {self.said}"
            time.sleep(0.1)
        return value

    def start_viewer(self):
        """Scroll to the viewer, which starts when it comes into sight, and wait until it has drawn."""
        self.page.evaluate("document.getElementById('viewer').scrollIntoView()")
        self.wait("document.getElementById('viewer').dataset.ready === 'yes'")
        self.settle()
        return self

    def settle(self):
        """Let two frames pass, so that what was asked for is drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def picture(self, selector):
        """A screenshot of one element, as PNG."""
        self.settle()
        return self.page.locator(selector).first.screenshot()

    def text(self, selector):
        return self.page.locator(selector).first.text_content().strip()

    def abroad(self):
        """What was asked for and lies neither in the page nor on the disk."""
        return [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))]

    def close(self):
        self.context.close()


@pytest.fixture
def opens(browser, request):
    """The function that opens the page of the tiny run, or another file; at the end nothing was complained of."""
    made = []

    def open_page(path=None, **options):
        # The tiny run is made where its page is asked for.
        page = path or request.getfixturevalue("done").results / "report" / "index.html"
        made.append(Opened(browser, page, **options))
        return made[-1]

    yield open_page
    for one in made:
        one.close()
        assert one.abroad() == []
        assert [message for message in one.said if message[0] in ("error", "warning", "pageerror")] == []


@pytest.fixture(scope="session")
def keep_pictures():
    """The function that keeps a picture of every section of a page, as it comes into sight, in results/screenshots/."""

    def keep(opened, name):
        PICTURES.mkdir(parents=True, exist_ok=True)
        for old in PICTURES.glob(f"{name}_*.png"):
            old.unlink()
        kept = []
        # A picture of the whole page would be higher than browsers can draw at once.
        for number, section in enumerate(["top", *opened.page.evaluate(SECTIONS)]):
            anchor = "document.body" if section == "top" else f"document.getElementById('{section}')"
            opened.page.evaluate(f"{anchor}.scrollIntoView()")
            opened.settle()
            kept.append(PICTURES / f"{name}_{number:02}-{section}.png")
            opened.page.screenshot(path=kept[-1])
        return kept

    return keep
