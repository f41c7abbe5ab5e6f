"""The mechanics of the page, in a real browser, over the stand-in."""

import shutil
from dataclasses import replace

import pytest

from hwctl.model.errors import NotPossibleError
from hwctl.model.readings import Quality
from hwctl.model.rig import OpState, Os, Power
from hwctl.policy.operation import PLANS, TIMED, Step

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is missing: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Page:
    """A page, with what went wrong on it."""

    def __init__(self, browser, site, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.faults.append(message.text) if "Content Security" in message.text else None
            ),
        )
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.site = site

    def open(self, path="/"):
        self.page.goto(self.site.server.url + path)
        self.has("title", "The football")
        return self

    def sign_in(self):
        return self.open(f"/?key={self.site.key.mint()}")

    def get(self, testid):
        return self.page.get_by_test_id(testid)

    def has(self, testid, text):
        from playwright.sync_api import expect

        expect(self.get(testid)).to_contain_text(text)

    def attribute(self, testid, name, value):
        from playwright.sync_api import expect

        expect(self.get(testid)).to_have_attribute(name, value)

    def shows(self, testid, shown=True):
        from playwright.sync_api import expect

        (
            expect(self.get(testid)).to_be_visible
            if shown
            else expect(self.get(testid)).to_be_hidden
        )()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.fixture
def page(browser, site):
    with Page(browser, site, viewport={"width": 1440, "height": 900}) as page:
        yield page
        assert page.faults == []
        assert all(url.startswith(site.server.url) for url in page.asked)


def test_what_the_rig_is_and_that_it_moves(page, site):
    page.open()
    page.has("emulated", "60×")
    page.has("health", "healthy")
    page.has("supply-bank-charge", "62")
    page.has("supply-bank-left", "2\u202fh 15\u202fmin left, at least 1\u202fh 57\u202fmin")
    page.has("shutdown-armed", "Armed")
    page.has("node-pi1-load", "30\u202f%")
    site.service.change_node("pi1", load=0.87)
    page.has("node-pi1-load", "87\u202f%")


def test_stale_is_dimmed_with_its_age_and_unknown_is_a_dash(page, site):
    site.service.change_node("pi1", quality=Quality.STALE, age_s=12.0)
    site.service.change_node(
        "pi2", quality=Quality.ABSENT, load=None, celsius=None, watts=None, age_s=None
    )
    site.service.change_supply(charge=None, charge_margin=None, runtime_s=None)
    page.open()
    page.has("node-pi1-load", "30")
    page.has("node-pi1-age", "12\u202fs old")
    assert "stale" in page.get("node-pi1").get_attribute("class")
    for part in ("load", "celsius", "watts"):
        text = page.get(f"node-pi2-{part}").inner_text()
        assert "–" in text
        assert "0" not in text
    assert page.get("supply-bank-charge").inner_text() == "–"


def test_the_strip_is_drawn_as_it_is_lit(page, site):
    page.open()
    site.service.show("lid", bytes((0, 255, 0)) * 20 + bytes(3 * 40), 0.5)
    page.attribute("strip-lid", "data-lit", "20")
    colours = page.page.evaluate(
        """() => {
          const canvas = document.querySelector('canvas.leds');
          const row = canvas.getContext('2d')
            .getImageData(0, 0, canvas.width, canvas.height).data;
          const sums = {left: [0, 0, 0], right: [0, 0, 0]};
          for (let i = 0; i < row.length; i += 4) {
            const half = (i / 4) % canvas.width < canvas.width / 3 ? sums.left : sums.right;
            for (const c of [0, 1, 2]) half[c] += row[i + c];
          }
          return sums;
        }"""
    )
    assert colours["left"][1] > 3 * colours["left"][0]
    assert colours["left"][1] > 3 * colours["right"][1]


def test_a_node_is_cycled_after_a_confirmation_that_says_what_will_happen(browser, make_site):
    site = make_site(min_off_s=5.0)
    with Page(browser, site) as page:
        page.sign_in()
        page.get("node-pi2-cycle").click()
        page.has(
            "confirm-text",
            "pi2 is asked to halt; when its draw has fallen, its feed (feed2) is cut, "
            "stays dead for 5\u202fs, and is switched on again.",
        )
        assert site.service.calls == []
        page.get("confirm-reason").fill("hangs")
        page.get("confirm-ok").click()
        page.shows("confirm", shown=False)
        page.has("op-op-1", "Cycle: asking it to halt")
        assert site.service.calls[0][:6] == ("power", "pi2", "cycle", False, "hangs", "session")
        assert len(site.service.calls[0][6]) == 32
        for action in ("on", "off", "cycle", "reset"):
            assert page.get(f"node-pi2-{action}").is_disabled()
        site.service.set_operation("op-1", step="drain")
        page.has("op-op-1", "staying dead (5\u00a0of\u00a09)")
        site.service.set_operation("op-1", state=OpState.DONE, step=None, finished=1.0)
        page.has("op-op-1", "Cycle: done")
        assert page.get("node-pi2-cycle").is_enabled()
        assert page.faults == []


def test_force_spells_its_risk_out(page, site):
    page.sign_in()
    page.get("node-pi1-off").click()
    page.shows("confirm-risk", shown=False)
    page.get("confirm-force").check()
    page.has("confirm-risk", "file system may be damaged")
    page.has("confirm-text", "cut at once")
    page.get("confirm-ok").click()
    page.shows("confirm", shown=False)
    assert site.service.calls[0][3] is True


def test_leaving_the_box_does_nothing(page, site):
    page.sign_in()
    page.get("node-pi1-off").click()
    page.get("confirm-cancel").click()
    page.get("node-pi1-off").click()
    page.page.keyboard.press("Escape")
    page.shows("confirm", shown=False)
    assert site.service.calls == []


def test_an_error_is_shown_with_its_hint_and_the_box_stays(page, site):
    page.sign_in()
    page.get("node-pi1-off").click()
    site.service.journal_writable = False
    page.get("confirm-ok").click()
    page.has("confirm-error", "the disk is full.")
    page.has("confirm-error", "Make room.")
    page.shows("confirm")


def test_without_a_session_a_command_asks_for_a_token_and_then_goes_on(page, site):
    token = site.tokens.create("sam", ["power"])
    page.open()
    page.get("node-pi1-locate").click()
    page.shows("token-box")
    page.get("token").fill("hwctl_wrong")
    page.get("token-ok").click()
    page.has("token-error", "wrong")
    page.get("token").fill(token)
    page.get("token-ok").click()
    page.shows("token-box", shown=False)
    page.has("sign-in", "Sign out")
    page.attribute("node-pi1-locate", "aria-pressed", "true")
    assert site.service.calls == [("locate", "pi1", True, "token:sam")]


def test_a_key_that_was_used_says_so(page, site):
    key = site.key.mint()
    site.key.redeem(key)
    page.open(f"/?key={key}")
    page.has("token-error", "used already")
    assert key not in page.page.url


def test_buttons_that_cannot_work_are_disabled_and_say_why(page, site):
    site.service.change_node("pi0", protected=True)
    site.service.change_node("pi1", power=Power.OFF, os=Os.UNKNOWN)
    site.service.change_node("pi2", outlet=None)
    page.open()
    page.has("node-pi1-state", "Off")
    assert page.get("node-pi0-cycle").is_disabled()
    assert page.get("node-pi0-cycle").get_attribute("title") == "pi0 is protected"
    assert page.get("node-pi1-on").is_enabled()
    assert page.get("node-pi1-off").is_disabled()
    assert page.get("node-pi2-off").is_disabled()
    assert page.get("node-pi3-on").is_disabled()
    assert page.get("node-pi3-cycle").is_enabled()


def test_shutdown_is_confirmed_and_can_be_called_off(page, site):
    page.sign_in()
    page.get("shutdown-start").click()
    page.has("confirm-text", "compute, then orchestrator")
    page.get("confirm-ok").click()
    page.has("shutdown-state", "Coming down")
    page.get("shutdown-cancel").click()
    page.has("shutdown-state", "Standing by")
    assert [call[0] for call in site.service.calls] == ["shutdown_start", "shutdown_cancel"]


def test_fans_by_hand_and_back(page, site):
    page.sign_in()
    page.get("fan-intake-manual").click()
    page.shows("fan-intake-slider")
    page.get("fan-intake-auto").click()
    page.shows("fan-intake-slider", shown=False)
    assert [call[:4] for call in site.service.calls] == [
        ("fan", "intake", "manual", 0.42),
        ("fan", "intake", "auto", 0.0),
    ]


def test_events_come_newest_first_and_as_text(page, site):
    site.service.tell("first")
    page.open()
    page.has("event-1", "first")
    site.service.tell("<img src=x onerror=alert(1)>", "critical")
    page.has("event-2", "<img src=x onerror=alert(1)>")
    assert page.get("events").locator("li").first.get_attribute("class") == "critical"
    assert page.get("events").locator("img").count() == 0


def test_problems_of_the_service_are_shown(page, site):
    page.open()
    site.service.change(healthy=False, problems=("the journal's disk is full",))
    page.has("health", "not healthy")
    assert "the journal's disk is full" in page.page.locator("#problems").inner_text()


def test_a_lost_connection_is_said_and_mended(page, site):
    from hwctl.faces.api import ApiServer, create_app

    page.open()
    page.shows("banner", shown=False)
    port = site.server.port
    site.server.stop()
    page.has("banner", "Connection lost")
    app = create_app(site.service, site.tokens, key=site.key)
    site.server = ApiServer(app, "127.0.0.1", port)
    site.server.start()
    page.shows("banner", shown=False)
    site.service.change_node("pi1", load=0.66)
    page.has("node-pi1-load", "66")


@pytest.mark.parametrize("width", [360, 390, 768, 1000, 1440, 1600])
@pytest.mark.parametrize("nodes", [4, 56])
def test_nothing_sticks_out_at_any_width(browser, make_site, stand_in, width, nodes):
    rig = stand_in.make_rig(nodes, 300)
    slow = replace(
        rig.nodes[1], os=Os.UNREACHABLE, quality=Quality.ABSENT, load=None, age_s=123456.0
    )
    site = make_site(replace(rig, nodes=(rig.nodes[0], slow, *rig.nodes[2:])))
    site.service.power("pi2", "cycle", by="test")
    with Page(browser, site, viewport={"width": width, "height": 800}) as page:
        page.open()
        page.shows(f"node-pi{nodes - 1}")
        page.shows("op-op-1")
        too_wide = page.page.evaluate(
            """() => [...document.querySelectorAll('body *')]
              .filter((one) => one.checkVisibility() && !one.classList.contains('skip')
                && one.getBoundingClientRect().right > innerWidth + 1)
              .map((one) => one.className || one.tagName)"""
        )
        assert too_wide == []
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_many_nodes_can_be_searched(browser, make_site, stand_in):
    site = make_site(stand_in.make_rig(56))
    with Page(browser, site) as page:
        page.open()
        page.get("nodes-filter").fill("pi17")
        page.shows("node-pi17")
        page.shows("node-pi18", shown=False)
        page.get("nodes-filter").fill("")
        page.shows("node-pi18")
        ids = page.page.eval_on_selector_all(
            "article.node", "all => all.map(n => n.dataset.testid)"
        )
        assert ids == [f"node-pi{index}" for index in range(56)]


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(page):
    page.open()
    nameless = page.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select')]
          .filter((one) => one.checkVisibility() && !one.textContent.trim()
            && !one.ariaLabel && !one.labels?.length)
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    page.get("node-pi1-cycle").focus()
    page.page.keyboard.press("Enter")
    page.shows("confirm")
    assert page.page.evaluate("document.activeElement.dataset.testid") == "confirm-cancel"


def test_what_cannot_be_read_back_is_marked_as_assumed(page, site):
    page.open()
    page.get("node-pi1-assumed").wait_for(state="hidden")
    outlets = site.service.rig().outlets
    site.service.change(
        outlets=tuple(
            replace(one, read_back="assumed", on={"pi1": False, "pi2": None}.get(one.node, one.on))
            if one.node in ("pi1", "pi2")
            else one
            for one in outlets
        )
    )
    page.has("node-pi1-assumed", "assumed")
    assert "read back" in page.get("node-pi1-assumed").get_attribute("title")
    assert page.get("node-pi2-assumed").is_hidden(), "nothing is assumed of it yet"
    assert page.get("node-pi3-assumed").is_hidden()


@pytest.mark.parametrize("action", ["on", "cycle"])
def test_the_reason_of_a_refusal_stays_in_the_box(page, site, action):
    page.sign_in()
    if action == "on":
        site.service.change_node("pi1", power=Power.OFF, os=Os.HALTED)
    site.service.refuse = NotPossibleError(
        "bank would last 400 s at 15.1 W, and a shutdown is begun at 525 s",
        where="bank",
        hint="plug the charger in",
    )
    page.get(f"node-pi1-{action}").click()
    page.get("confirm-ok").click()
    page.has("confirm-error", "bank would last 400 s at 15.1 W")
    page.has("confirm-error", "Plug the charger in.")
    assert page.get("confirm").is_visible()
    site.service.refuse = None
    page.get("confirm-force").check()
    assert page.get("confirm-risk").is_visible()
    page.get("confirm-ok").click()
    page.get("confirm").wait_for(state="hidden")
    assert site.service.calls[-1][:4] == ("power", "pi1", action, True)


def test_the_page_knows_the_steps_of_the_policy(page):
    page.open()
    plans, steps = page.page.evaluate(
        "import('/assets/nodes.js').then((nodes) => [nodes.PLANS, Object.keys(nodes.STEPS)])"
    )
    timed = page.page.evaluate("import('/assets/nodes.js').then((nodes) => nodes.TIMED_CYCLE)")
    assert timed == [str(step) for step in TIMED["cycle", False]]
    for kind, plan in plans.items():
        assert plan == [str(step) for step in PLANS[kind, False]]
    assert set(steps) == {str(step) for step in Step}


def test_the_documentation_renders_every_path(page, site):
    page.page.goto(site.server.url + "/docs")
    page.page.get_by_text("/api/v1/nodes/{id}/power").wait_for()
    assert page.page.locator("details").count() > 25
    assert page.page.locator("#Rig table tr").count() > 10
