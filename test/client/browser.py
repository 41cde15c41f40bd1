"""browser.py URL FOLDER SCREENSHOT: an example's page as Chromium shows it.

Uploads pictures of FOLDER, has the page drawn, and looks for each picture where its <img> is on the screen.
"""
import base64
import fcntl
import io
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from client import Site, difference, finish, point, upright

PATIENCE = 60
TOLERANCE = 16
UPLOADS = (("users/1", "photo-orientation-6.jpg"), ("users/2", "photo-gray.jpg"), ("organizations/1", "logo-alpha.png"),
           ("parts/1", "orientation-6.jpg"), ("parts/1", "photo-progressive.jpg"), ("parts/1", "screen.png"))


class Browser:
    """Chromium without a screen, spoken to through a pipe: JSON messages that end with a zero byte."""

    def __init__(self, profile):
        # as 3 and 4 it wants them, where others may be
        pipes = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for pair in (os.pipe(), os.pipe()) for end in pair]
        theirs_in, self.out, self.into, theirs_out = pipes
        self.log = open(Path(profile) / "log", "w+b")
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"', "-", "chromium", "--headless", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
             f"--user-data-dir={profile}", "--window-size=1200,1000", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=self.log, stderr=self.log, env={**os.environ, "HOME": profile})
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.rest, self.events, self.session = 0, b"", [], {}
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = {"sessionId": self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]}
        self.call("Page.enable")
        self.call("Network.enable")

    def receive(self, until):
        while b"\0" not in self.rest:
            if not select.select([self.into], [], [], max(until - time.monotonic(), 0))[0]:
                raise SystemExit("not ok - the browser answers: it took too long")
            read = os.read(self.into, 1 << 20)
            if not read:
                self.log.seek(0)
                raise SystemExit("not ok - the browser answers: " + self.log.read().decode(errors="replace")[-2000:])
            self.rest += read
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": parameters, **self.session}).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        until = time.monotonic() + PATIENCE
        while True:
            message = self.receive(until)
            if message.get("id") == self.number:
                if "error" in message:
                    raise SystemExit(f"not ok - the browser does {method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def load(self, url):
        """Opens a page; the events until it's there."""
        self.events = []
        self.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive(until))
        return self.events

    def evaluate(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"]["value"]

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self):
        self.call("Browser.close")
        self.process.wait(PATIENCE)


site, folder, output = Site(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
for path, name in UPLOADS:
    answer = site.upload(f"/images/{path}", (folder / name).read_bytes(), name)
    if answer.status not in (302, 303):
        raise SystemExit(f"not ok - {name} is taken: {answer}")

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    browser.load(sys.argv[1] + "/")
    images = browser.evaluate("""[...document.images].map(i => {
        const place = i.getBoundingClientRect();
        return {path: new URL(i.src).pathname.replace('/images/', ''), index: +new URL(i.src).searchParams.get('index'),
            whole: i.complete && i.naturalWidth > 0, box: [place.left, place.top, place.right, place.bottom]}})""")
    screenshot = browser.screenshot()
    events = browser.load(sys.argv[1] + "/")
    browser.close()
output.write_bytes(screenshot)
screen = Image.open(io.BytesIO(screenshot)).convert("RGB")

point("the page has all pictures", len(images) == len(UPLOADS), images)
point("the browser could read all of them", all(image["whole"] for image in images), images)
shown = {(image["path"], image["index"]): screen.crop([round(edge) for edge in image["box"]]) for image in images}
uploaded = {(path, [p for p, _ in UPLOADS[:number]].count(path)): upright(folder / name) for number, (path, name) in enumerate(UPLOADS)}
for key, original in uploaded.items():
    crop = shown.get(key)
    name = "{} {}".format(*key)
    if crop is None or min(crop.size) < 50:
        point(f"{name} is to be seen", False, crop and crop.size)
        continue
    point(f"{name} has its shape", abs(crop.width / crop.height / (original.width / original.height) - 1) < 0.03, crop.size)
    distances = {other: difference(crop, picture) for other, picture in uploaded.items()}
    point(f"{name} is to be seen", distances[key] < TOLERANCE, distances)
    # or the comparison would tell nothing
    point(f"{name} is not like the others", all(distances[other] > 2 * TOLERANCE for other in uploaded if other != key), distances)
statuses = [event["params"]["statusCode"] for event in events if event["method"] == "Network.responseReceivedExtraInfo"]
point("shown again, each picture is a 304", statuses.count(304) == len(UPLOADS), statuses)
finish()
