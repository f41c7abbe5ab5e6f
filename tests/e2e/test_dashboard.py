"""The dashboard on the running football, in Debian's chromium: seen, and used."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is missing: apt-get install chromium"
)
SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
Wait = Callable[..., Any]


def test_load_is_seen_and_a_node_is_cycled_by_its_button(service: Any, wait_for: Wait) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    service.start(speed=10)
    wait_for("all nodes up", service.all_up)
    for node in ("pi0", "pi1", "pi2", "pi3"):
        service.world({"op": "node", "node": node, "load": 0.05})
    SHOTS.mkdir(parents=True, exist_ok=True)
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{service.url}/?key={service.key}")
        expect = api.expect
        expect(page.get_by_test_id("title")).to_have_text("The football")
        expect(page.get_by_test_id("emulated")).to_contain_text("10")
        load = page.get_by_test_id("node-pi1-load")
        expect(load).to_have_text(re.compile(r"^[0-9]\s?%$"), timeout=15_000)
        service.world({"op": "node", "node": "pi1", "load": 0.9})
        expect(load).to_have_text(re.compile(r"^(8|9)\d\s?%$|^100\s?%$"), timeout=15_000)

        boots = service.world()["nodes"]["pi2"]["boots"]
        page.get_by_test_id("node-pi2-cycle").click()
        said = page.get_by_test_id("confirm-text").inner_text()
        assert "pi2" in said, "the confirmation names what will happen"
        assert "feed2" in said
        page.screenshot(path=SHOTS / "confirm.png")
        page.get_by_test_id("confirm-ok").click()
        expect(page.get_by_test_id("node-pi2-state")).not_to_have_text("Up", timeout=15_000)
        page.screenshot(path=SHOTS / "cycle.png")
        wait_for(
            "pi2 has booted once more",
            lambda: service.world()["nodes"]["pi2"]["boots"] == boots + 1, 60,
        )  # fmt: skip
        expect(page.get_by_test_id("node-pi2-state")).to_have_text("Up", timeout=60_000)
        page.screenshot(path=SHOTS / "wide.png")
        page.set_viewport_size({"width": 390, "height": 844})
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, "nothing hangs over the edge of a phone"
        page.screenshot(path=SHOTS / "phone.png", full_page=True)
        browser.close()
    assert all(url.startswith((service.url, "data:")) for url in asked), asked
    op = service.get("/api/v1/operations")[0]
    assert (op["kind"], op["target"], op["state"]) == ("cycle", "pi2", "done")
    assert op["by"].startswith("session")
