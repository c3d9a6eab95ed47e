"""A headless Chromium of this machine, driven as a visitor of the console uses it, that notes what it complains about.

    with Chromium() as browser:
        browser.look(width=360, dark=True)
        browser.open("http://127.0.0.1:4000/recallr/console/login")
        browser.fill("key", "rai_…")
        browser.press("Log in")
        assert browser.complaints() == []

Nothing that is not on loopback can be reached from it: no name resolves but those of this machine.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from selenium_axe_python import Axe

from tests.support.waiting import eventually

TIMEZONE: Final = "America/New_York"
"""Of the viewer."""

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_DRIVER: Final = "chromedriver"
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # which needs rights that containers do not give
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_LEFT_SECONDS: Final = 120
_SERIOUS: Final = ("serious", "critical")
_IS_DRAWN: Final = """
const drawn = [...document.querySelectorAll("[data-plot], .graph")];
return document.readyState === "complete" && drawn.every((one) => one.querySelector("svg, canvas"));
"""
_TOO_WIDE: Final = """
const [width, page] = [arguments[0], document.documentElement.scrollWidth];
if (page <= width) return [];
return [...document.body.querySelectorAll("*")]
  .filter((one) => one.getBoundingClientRect().right > width + 1 && !one.parentElement.closest(".wide, pre, .text"))
  .slice(0, 5)
  .map((one) => `the page is ${page} px wide, by ${one.outerHTML.slice(0, 120)}`);
"""
_NOTE_FOCUS: Final = """
window.seen = new Map();
window.unfocusable = new Set(document.querySelectorAll(
  "a[href], button, input:not([type=hidden]), select, textarea, summary"));
for (const one of window.unfocusable) {
  const first = one.type === "radio" && document.querySelector(`input[type=radio][name="${CSS.escape(one.name)}"]`);
  if (!one.checkVisibility() || one.disabled || (first && first !== one)) window.unfocusable.delete(one);
}
document.addEventListener("focusin", (event) => {
  const style = getComputedStyle(event.target);
  const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  window.unfocusable.delete(event.target);
  window.seen.set(event.target, visible || window.seen.get(event.target));
});
return window.unfocusable.size;
"""


def lacking() -> str:
    """What this machine lacks to run a browser, "" if nothing."""
    if not any(map(shutil.which, _BROWSERS)):
        return "no Chromium on this machine (Debian: apt-get install chromium chromium-driver)"
    return "" if shutil.which(_DRIVER) else "no chromedriver on this machine (Debian: apt-get install chromium-driver)"


class Chromium:
    """One window."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = next(filter(None, map(shutil.which, _BROWSERS)))
        for flag in _FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # its driver speaks to it over loopback: a proxy of the developer's has no part in that
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which(_DRIVER)))
        self._command("Emulation.setTimezoneOverride", timezoneId=TIMEZONE)
        self.look()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def look(self, *, width: int = 1600, dark: bool = False) -> None:
        """Be a screen of this width, a phone's if it is narrow, of somebody who likes it dark or light."""
        phone = width < 600
        self._width = width
        self._command("Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._command(
            "Emulation.setEmulatedMedia", features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}]
        )

    # what a visitor does

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is drawn."""
        self.driver.get(address)
        self.wait_drawn()

    @contextmanager
    def without(self, pattern: str) -> Iterator[None]:
        """While what has an address of this pattern, as `*.js`, cannot be loaded."""
        self._command("Network.enable")
        self._command("Network.setBlockedURLs", urls=[pattern])
        try:
            yield
        finally:
            self._command("Network.setBlockedURLs", urls=[])

    def wait_drawn(self) -> None:
        """Wait until the page and its plots are there."""
        eventually(lambda: self.driver.execute_script(_IS_DRAWN), f"{self.address} is drawn")

    def fill(self, name: str, text: str) -> None:
        """Type into the field of this name."""
        field = self.visible(f'[name="{name}"]')
        field.clear()
        field.send_keys(text)

    def press(self, label: str) -> None:
        """Press the button, follow the link or open the section of this label, as the page has it."""
        wanted = f"normalize-space()={json.dumps(label)}"
        found = [
            one
            for one in self.driver.find_elements(By.XPATH, f"//button[{wanted}] | //a[{wanted}] | //summary[{wanted}]")
            if one.is_displayed()
        ]
        assert found, f"{self.address} shows nothing to press that says {label!r}"
        with self._leaving(found[0].tag_name == "a" or found[0].get_attribute("type") == "submit"):
            found[0].click()

    def press_keys(self, *keys: str, leads: bool = False) -> None:
        """Type, wherever the focus is.

        Args:
            leads: to another page, as Enter in a form does.
        """
        with self._leaving(leads):
            ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def tab_to(self, label: str) -> None:
        """Press Tab until the focus is on what says this."""
        for _ in range(300):
            self.press_keys(Keys.TAB)
            if self.driver.switch_to.active_element.text.strip() == label:
                return
        raise AssertionError(f"Tab does not come to {label!r} on {self.address}")

    def visible(self, selector: str) -> WebElement:
        """The first element of this CSS selector that is shown. Fails the test if there is none."""
        found = [one for one in self.driver.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()]
        assert found, f"{self.address} shows no {selector}"
        return found[0]

    def tab_through(self) -> tuple[list[str], list[str]]:
        """Press Tab from the top of the page to its end.

        Returns:
            The controls that got no focus, and those that do not show that they have it: their HTML.
        """
        controls: int = self.driver.execute_script(_NOTE_FOCUS)
        for _ in range(controls // 20 + 2):
            ActionChains(self.driver, duration=0).send_keys(Keys.TAB * 20).perform()
        left: list[str] = self.driver.execute_script(
            "return [...window.unfocusable].map((one) => one.outerHTML.slice(0, 120))"
        )
        unseen: list[str] = self.driver.execute_script(
            "return [...window.seen].filter(([, seen]) => !seen).map(([one]) => one.outerHTML.slice(0, 120))"
        )
        return left, unseen

    # what is seen

    @property
    def address(self) -> str:
        """Of the page."""
        return str(self.driver.current_url)

    @property
    def text(self) -> str:
        """All that the page shows."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def overflow(self) -> list[str]:
        """What reaches beyond the page's right edge, so that the page scrolls sideways: HTML of elements."""
        found: list[str] = self.driver.execute_script(_TOO_WIDE, self._width)
        return found

    @property
    def barriers(self) -> list[str]:
        """What axe finds serious or critical for people who see, hear or move differently."""
        axe = Axe(self.driver)
        axe.inject()
        return [
            f"{found['id']}: {found['help']}: {node['html'][:200]} {node['failureSummary'][:200]}"
            for found in axe.run()["violations"]
            if found["impact"] in _SERIOUS
            for node in found["nodes"]
        ]

    def complaints(self) -> list[str]:
        """What the browser has complained about since the last call: errors of scripts, what the policy forbade,
        requests that leave this machine."""
        said = [
            entry["message"]
            for entry in self._log("browser")
            if entry["level"] in ("SEVERE", "WARNING") and not _is_status_of_page(entry)
        ]
        return said + [f"asked for {url}" for url in self._requested() if not url.startswith(_LOCAL)]

    def open_all(self) -> None:
        """Open what is folded on the page, so that it is looked at too."""
        self.driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")

    def keep_picture(self, name: str) -> None:
        """Write a picture of the page to the folder `TEST_SCREENSHOTS`, if that is set."""
        if folder := os.environ.get("TEST_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.picture(Path(folder) / f"{name}.png")

    def picture(self, file: Path, *, height: int = 4000) -> None:
        """Write the page, as far down as this, as a PNG."""
        size: Sequence[int] = self.driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], height), "scale": 1}
        shot = self._command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(shot["data"]))

    @contextmanager
    def _leaving(self, leads: bool) -> Iterator[None]:
        """What is done here is done when its page is drawn: another one, if it leads there.

        The browser may still show the old page for a while, and go to the new one in the middle of what comes next.
        """
        self.driver.execute_script("window.stays = true")
        yield
        if leads:  # the driver's commands may fail while the page changes
            waiting = WebDriverWait(self.driver, _LEFT_SECONDS, ignored_exceptions=[WebDriverException])
            waiting.until(lambda driver: driver.execute_script("return !window.stays"), "it leads nowhere")
        self.wait_drawn()

    def _requested(self) -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    def _log(self, kind: str) -> Any:
        return self.driver.get_log(kind)  # type: ignore[no-untyped-call]

    def _command(self, name: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, arguments)


_LOCAL: Final = ("http://127.0.0.1:", "data:", "chrome", "about:", "blob:http://127.0.0.1")


def _is_status_of_page(entry: dict[str, Any]) -> bool:
    """Whether it is only said that a page, as one that is not there, came with a status of an error."""
    message = entry["message"]
    return (
        entry["source"] == "network"
        and "/recallr/console/static/" not in message
        and "responded with a status" in message
    )
