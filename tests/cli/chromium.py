"""A headless Chromium, driven over its DevTools pipe: no port, no library.

Source: https://chromedevtools.github.io/devtools-protocol/ (domains Target, Page, Runtime, Emulation, Input, Browser).
"""

from __future__ import annotations

import base64
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """Path of a Chromium; None if none is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One browser with a new profile and one page.

    Args:
        folder: For the profile, downloads, and whatever it says.
        *flags: More arguments of the command.

    Attributes:
        console: What pages wrote as warnings or errors, and what they threw.
        downloads: Where downloads go.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        self.console: list[str] = []
        self.downloads = folder / "downloads"
        self._log = open(folder / "chromium.log", "w")  # noqa: SIM115
        command = [program() or NAMES[0], "--headless=new", "--remote-debugging-pipe", "--no-first-run"]
        command += [f"--user-data-dir={folder / 'profile'}", "--disable-gpu", "--disable-extensions"]
        command += ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]
        command += ["--disable-dev-shm-usage", *flags]
        if os.geteuid() == 0:
            # Chromium's sandbox does not work for root.
            command.append("--no-sandbox")
        # The browser reads commands from descriptor 3 and writes answers to 4.
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        shell = f'exec "$@" 3<&{their_in} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "chromium", *command, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(their_in, their_out),
        )
        os.close(their_in)
        os.close(their_out)
        self._out, self._in = os.fdopen(our_out, "wb", 0), os.fdopen(our_in, "rb")
        self._number = 0
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._session: str | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; return its result."""
        self._number += 1
        number, answer = self._number, queue.Queue[dict[str, Any]]()
        self._answers[number] = answer
        message = {"id": number, "method": method, "params": parameters}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        try:
            got = answer.get(timeout=60)
        except queue.Empty:
            raise AssertionError(f"{method} was not answered") from None
        assert "error" not in got, f"{method}: {got['error']}"
        return got["result"]

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """Evaluate an expression in the page, promises awaited; return its value."""
        got = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def wait_for(self, script: str, timeout: float = 60) -> Any:
        """Evaluate an expression until it is true; return its value."""
        deadline = time.monotonic() + timeout
        while not (value := self.evaluate(script)):
            assert time.monotonic() < deadline, f"not so after {timeout} s: {script}; console: {self.console}"
            time.sleep(0.05)
        return value

    def press(self, key: str, code: int = 0) -> None:
        """Press and release a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if kind == "keyDown" and text else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def resize(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> None:
        """Resize the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def prefer(self, scheme: str) -> None:
        """Set the preferred colour scheme."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """Screenshot of the window, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """Close the browser."""
        if self._process.poll() is None:
            self._session = None
            try:
                self.call("Browser.close")
                self._process.wait(60)
            except (AssertionError, OSError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait(60)
        self._reader.join(60)
        for file in (self._out, self._in, self._log):
            file.close()

    def _read(self) -> None:
        waiting = b""
        while data := os.read(self._in.fileno(), 1 << 16):
            *messages, waiting = (waiting + data).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                else:
                    self._note(message["method"], message["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled" and told["type"] in ("warning", "error", "assert"):
            self.console.append(" ".join(str(each.get("value", each.get("description"))) for each in told["args"]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
            self.console.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
