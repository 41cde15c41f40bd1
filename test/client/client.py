"""What the programs of this folder share: points, HTTP as it is on the wire, and pictures side by side."""
import http.client
import io
import sys
from urllib.parse import urlsplit

from PIL import Image, ImageOps

failed = 0


def point(what, good, why=""):
    """A line of the test; why is for when it's not good."""
    global failed
    failed += not good
    print(f"ok - {what}" if good else f"not ok - {what}: {' | '.join(str(why).splitlines())[:1500]}", flush=True)


def finish():
    sys.exit(1 if failed else 0)


class Response:
    def __init__(self, answer, body):
        self.status, self.headers, self.body = answer.status, answer.getheaders(), body

    def __getitem__(self, name):
        """The value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def __str__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:200]!r}"


class Site:
    def __init__(self, url):
        self.address = urlsplit(url).netloc

    def ask(self, method, path, body=None, **headers):
        """One request on a connection of its own, of which nothing may be left when its answer is read."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()} | {"Connection": "close"})
        answer = connection.getresponse()
        raw = answer.fp  # stays open, where http.client takes the body for empty
        body = answer.read() if method != "HEAD" and answer.status != 304 else raw.read() if raw else b""
        response = Response(answer, body)
        connection.close()
        return response

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def upload(self, path, data, name="picture", field="file"):
        boundary = "5b1f6e7c-picture"
        body = (f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode() + data + f"\r\n--{boundary}--\r\n".encode()
        return self.ask("POST", path, body, Content_Type=f"multipart/form-data; boundary={boundary}")


def upright(file):
    """A picture as it is to be seen, on white."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def difference(image, other):
    """Of two pictures in 8 by 8 fields, the largest distance of a field's mean colour, 0 to 255."""
    fields = [picture.resize((256, 256), Image.BICUBIC).resize((8, 8), Image.BOX) for picture in (image, other)]
    return max(abs(a - b) for one, two in zip(*(field.getdata() for field in fields)) for a, b in zip(one, two))


def looks_like(data, file):
    return difference(upright(io.BytesIO(data)), upright(file)) < 16
