"""The page in a real Chromium, opened from the disk."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dropout_lab import results
from dropout_lab.report.report import build_report
from tests.report.browser import CHROMIUM, Browser
from tests.report.made import make_study
from tests.report.test_page import ends

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; apt install chromium")

CELLS = "[...document.querySelectorAll('#cells tbody th')].map(e => e.firstChild.data.trim())"
ORDER = "document.querySelectorAll('#cells thead th')[{}].getAttribute('aria-sort')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_study(
        tmp_path_factory.mktemp("page") / "s", p="0,0.15,0.3,0.6", seeds="3", ends=ends
    )
    build_report(made).write()
    return made


@pytest.fixture
def page(browser: Browser, folder: Path) -> Browser:
    browser.look()
    browser.open(folder / results.REPORT)
    return browser


def test_it_opens_without_a_request_and_without_a_complaint(page: Browser, folder: Path) -> None:
    assert page.requests == [(folder / results.REPORT).as_uri()]
    assert page.console == []
    assert page.value("document.title") == "defaults: dropout-lab report"
    assert page.value("document.querySelectorAll('svg').length") >= 4
    assert page.value("document.documentElement.lang") == "en"


def test_even_a_script_of_its_own_could_send_nothing(page: Browser) -> None:
    """The policy of the page is in force: what would leave is refused before it does."""
    sent = page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert sent == "refused"
    assert any("Content Security Policy" in line for line in page.console)
    assert [url for url in page.requests if url.startswith("http")] == []


def test_a_click_sorts_and_another_turns_it_round(page: Browser) -> None:
    written = page.value(CELLS)
    assert written == ["no dropout", "p = 0.15", "p = 0.3", "p = 0.6"]
    page.click("#cells thead th:nth-child(2) button")
    rising = page.value(CELLS)
    assert page.value(ORDER.format(1)) == "ascending"
    numbers = "[...document.querySelectorAll('#cells td:nth-child(2)')].map(e => +e.dataset.number)"
    assert page.value(numbers) == sorted(page.value(numbers))
    assert rising != written
    page.click("#cells thead th:nth-child(2) button")
    assert page.value(CELLS) == rising[::-1]
    assert page.value(ORDER.format(1)) == "descending"
    assert page.value("document.getElementById('said').textContent").endswith("descending.")


def test_the_keyboard_sorts_too(page: Browser) -> None:
    written = page.value(CELLS)
    page.value("document.querySelector('#cells .scroll').focus()")
    page.press("Tab")
    focused = "document.activeElement.textContent"
    assert page.value(focused).strip() == "cell"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.value(outline) == "solid"  # where the focus is can be seen
    page.press("Enter")
    assert page.value(CELLS) == written
    page.press("Space")
    assert page.value(CELLS) == written[::-1]
    assert page.value(ORDER.format(0)) == "descending"
    page.press("Tab")
    page.press("Enter")
    assert page.value(ORDER.format(0)) is None  # one column at a time
    assert page.value(ORDER.format(1)) == "ascending"


def test_what_has_no_value_stays_last(page: Browser) -> None:
    """The cell without dropout has no difference to itself."""
    for _ in range(2):
        page.click("#cells thead th:nth-child(5) button")
        assert page.value(CELLS)[-1] == "no dropout"


def test_the_first_key_leads_past_the_head(page: Browser) -> None:
    page.press("Tab")
    assert page.value("document.activeElement.textContent") == "Skip to the findings"
    page.press("Enter")
    assert page.value("location.hash") == "#findings"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(page: Browser, scheme: str) -> None:
    """WCAG: a contrast of 4.5 at least, of every text with what lies behind it."""
    page.look(scheme=scheme)
    lowest, what = page.value(_CONTRAST)
    assert lowest >= 4.5, what
    background = page.value("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


def test_a_phone_shows_it_without_moving_sideways(page: Browser) -> None:
    page.look(width=360, height=740)
    assert page.value("document.documentElement.scrollWidth") <= 360
    wide = "[...document.querySelectorAll('.scroll, .picture')].filter(e => e.scrollWidth > 360)"
    assert page.value(f"{wide}.every(e => e.tabIndex === 0)")
    assert page.value(f"{wide}.length") > 3


def test_on_paper_the_short_table_stands_and_the_config_is_open(page: Browser) -> None:
    pages = page.pdf()
    assert pages.startswith(b"%PDF")
    page.call("Emulation.setEmulatedMedia", media="print")
    page.value("dispatchEvent(new Event('beforeprint'))")
    shown = "[...document.querySelectorAll('{}')].filter(e => e.offsetParent).length"
    assert page.value(shown.format("#cells thead th")) == 7
    assert page.value(shown.format("#again pre")) == 2
    assert page.value(shown.format("nav")) == 0
    page.call("Emulation.setEmulatedMedia", media="")


def test_every_heading_and_region_has_a_name(page: Browser) -> None:
    levels = page.value("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    named = ("region", "table", "button", "link", "image", "columnheader", "rowheader")
    for node in tree:
        if not node["ignored"] and node["role"]["value"] in named:
            assert node["name"]["value"].strip(), node
    roles = [node["role"]["value"] for node in tree]
    assert {"main", "navigation", "banner", "contentinfo", "image", "table"} <= set(roles)


@pytest.mark.slow
@pytest.mark.parametrize(("p", "seeds"), [("0:0.9:0.1", "100"), ("0:0.998:0.002", "2")])
def test_a_thousand_runs_open(p: str, seeds: str, browser: Browser, tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", p=p, seeds=seeds, epochs=20)
    report = build_report(folder)
    assert len(report.study.runs) == 1_000
    report.write()
    assert (folder / results.REPORT).stat().st_size < 10_000_000
    browser.look()
    browser.open(folder / results.REPORT)
    assert browser.console == []
    browser.click("#cells thead th:nth-child(2) button")
    assert browser.value(ORDER.format(1)) == "ascending"


_CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return rgb(getComputedStyle(document.body).backgroundColor);
  };
  let lowest = [99, ""];
  for (const e of document.querySelectorAll("body *:not(svg *)")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.matches("script, style")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, e.outerHTML.slice(0, 200)];
  }
  return lowest;
})()"""
