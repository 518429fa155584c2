"""A headless Chromium, driven over its DevTools protocol: real keys and clicks, things found by their names."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from .site import wait_for

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# A test machine may have neither user namespaces nor a large /dev/shm, and no word for anybody outside.
_OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--lang=en-GB",
]
_KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "Space": (" ", 32, " "),
}
_ALT, _SHIFT = 1, 8


class Tab:
    """A page that is open."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket, self._session, self._last = socket, session, 0
        self.errors: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its result; what happened meanwhile is noted."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters, "sessionId": self._session}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=30))
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, method: str, data: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            detail = data["exceptionDetails"]
            self.errors.append(detail.get("exception", {}).get("description", detail["text"]))
        elif method == "Log.entryAdded" and data["entry"]["level"] == "error" and data["entry"]["source"] != "network":
            self.errors.append(data["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(data["request"]["url"])

    def run(self, script: str) -> Any:
        """Evaluate an expression, await it, and return its value."""
        done = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]["exception"]["description"]
        return done["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address, anew even when only its fragment differs."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def reload(self) -> None:
        self.run("window.before = true")
        self.send("Page.reload")
        self.until("window.before === undefined && document.readyState === 'complete'")

    def until(self, script: str, seconds: float = 15) -> Any:
        """Wait until an expression is true, and return its value."""
        return wait_for(script, lambda: self.run(script), seconds)

    def text(self, selector: str) -> str:
        """Return what can be read in an element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def see(self, selector: str, text: str, seconds: float = 15) -> None:
        """Wait until a text can be read in one of the elements."""
        script = (
            "[...document.querySelectorAll({})].some((node) => node.checkVisibility() && node.innerText.includes({}))"
        )
        self.until(script.format(json.dumps(selector), json.dumps(text)), seconds)

    def named(self, role: str, name: str) -> int:
        """Return the one visible element that assistive technology knows by a role and a name."""

        def found() -> list[int]:
            root = self.send("DOM.getDocument", depth=0)["root"]["nodeId"]
            nodes = self.send("Accessibility.queryAXTree", nodeId=root, accessibleName=name, role=role)["nodes"]
            return [node["backendDOMNodeId"] for node in nodes if not node["ignored"]]

        nodes: list[int] = wait_for(f"{role} {name!r}", found)
        assert len(nodes) == 1, f"{len(nodes)} times {role} {name!r}"
        return nodes[0]

    def click(self, role: str, name: str) -> None:
        """Click on the middle of an element, with the mouse."""
        node = self.named(role, name)
        self.until("document.getAnimations().every((one) => one.effect.getTiming().iterations === Infinity)")
        self.send("DOM.scrollIntoViewIfNeeded", backendNodeId=node)
        quad = self.send("DOM.getContentQuads", backendNodeId=node)["quads"][0]
        point = {"x": sum(quad[0::2]) / 4, "y": sum(quad[1::2]) / 4}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)

    def fill(self, role: str, name: str, text: str) -> None:
        """Replace what a field holds, as if typed."""
        self.send("DOM.focus", backendNodeId=self.named(role, name))
        self.run("document.activeElement.select()")
        self.write(text)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        self.send("Input.insertText", text=text)

    def press(self, key: str, *, alt: bool = False, shift: bool = False) -> None:
        """Press a key: a name of ``_KEYS`` or a letter."""
        name, code, text = _KEYS.get(key, (key.lower(), ord(key[0].upper()), ""))
        data = {"key": name, "code": key if key in _KEYS else f"Key{key.upper()}", "windowsVirtualKeyCode": code}
        modifiers = _ALT * alt + _SHIFT * shift
        self.send("Input.dispatchKeyEvent", type="keyDown", modifiers=modifiers, text="" if alt else text, **data)
        self.send("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **data)

    def focused(self) -> str:
        """Return the id or else the text of what has the focus."""
        return str(self.run("document.activeElement.id || document.activeElement.innerText"))

    def screen(self, width: int, height: int, *, dark: bool = False) -> None:
        """Take another size, a phone's below 600, and the system's colours."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def languages(self, accepted: str) -> None:
        """Ask for pages in these languages."""
        agent = self.run("navigator.userAgent")
        self.send("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=accepted)

    def picture(self, path: Path) -> None:
        """Save what is seen."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """Lend a tab of a browser of one's own."""
    binary = next(filter(None, map(shutil.which, _NAMES)), None)
    if binary is None:
        pytest.fail("no Chromium here: install Debian's package chromium")
    with (profile.parent / "chromium.log").open("wb") as log:
        browser = subprocess.Popen([binary, *_OPTIONS, f"--user-data-dir={profile}"], stdout=log, stderr=log)
    port = profile / "DevToolsActivePort"
    try:
        wait_for("Chromium listens", lambda: port.exists() and len(port.read_text().splitlines()) == 2)
        number, path = port.read_text().splitlines()
        with connect(f"ws://127.0.0.1:{number}{path}", max_size=None, compression=None) as socket:
            yield Tab(socket, _attach(socket))
    finally:
        browser.terminate()
        browser.wait(20)


def _attach(socket: ClientConnection) -> str:
    def ask(number: int, method: str, **parameters: Any) -> dict[str, Any]:
        socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(socket.recv(timeout=30))).get("id") != number:
            pass
        result: dict[str, Any] = answer["result"]
        return result

    target = ask(-2, "Target.createTarget", url="about:blank")["targetId"]
    return str(ask(-1, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
