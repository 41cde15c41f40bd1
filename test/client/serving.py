"""serving.py URL FOLDER: an example application's answers, with the pictures of FOLDER."""
import io
import json
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from re import findall

from PIL import Image

from client import Site, finish, looks_like, point

site, folder = Site(sys.argv[1]), Path(sys.argv[2])
PHOTO, LOGO, PART = "/images/users/1", "/images/organizations/1", "/images/parts/1"


def fixture(name):
    return (folder / name).read_bytes()


def upload(path, name):
    return site.upload(path, fixture(name), name)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def once(response):
    names = [name.lower() for name, _ in response.headers]
    return len(names) == len(set(names))


def count():
    return json.loads(site.get(PART + "/count").body)["count"]


def stored():
    return site.get(PHOTO).body, count()


# Upload, and the plain answer
point("a user without a photo: 404", site.get(PHOTO).status == 404, site.get(PHOTO))
response = upload(PHOTO, "photo-orientation-6.jpg")
point("a photo is taken", response.status in (302, 303), response)
whole = site.get(PHOTO)
point("it is served as image/webp", whole.status == 200 and whole["Content-Type"] == "image/webp", whole)
point("upright, and in the size of its column", Image.open(io.BytesIO(whole.body)).size == (512, 288), Image.open(io.BytesIO(whole.body)).size)
point("and looks like what was sent", looks_like(whole.body, folder / "photo-orientation-6.jpg"))
point("its length is right", whole["Content-Length"] == str(len(whole.body)), whole)
point("each header is there once", once(whole), whole.headers)

# ETag
tag, length = whole["ETag"], len(whole.body)
point("it has a strong ETag", tag and tag[0] == tag[-1] == '"', tag)
response = site.get(PHOTO, If_None_Match=tag)
point("the same ETag: 304 without a body", response.status == 304 and response.body == b"" and response["ETag"] == tag, response)
point("the 304 says nothing of a type", response["Content-Type"] is None and once(response), response)
response = site.get(PHOTO, If_None_Match='"other", W/' + tag)
point("the same in a list, weakly: 304", response.status == 304, response)
response = site.get(PHOTO, If_None_Match='"other"')
point("another ETag: 200", response.status == 200 and response.body == whole.body, response)
response = site.get(PHOTO, If_Match='"other"')
point("If-Match another: 412", response.status == 412, response)

# Ranges
response = site.get(PHOTO, Range="bytes=0-99")
point("bytes=0-99: 206, these bytes", response.status == 206 and response.body == whole.body[:100]
      and response["Content-Range"] == f"bytes 0-99/{length}" and response["Content-Length"] == "100" and once(response), response)
response = site.get(PHOTO, Range="bytes=-100")
point("bytes=-100: 206, the last ones", response.status == 206 and response.body == whole.body[-100:]
      and response["Content-Range"] == f"bytes {length - 100}-{length - 1}/{length}", response)
response = site.get(PHOTO, Range=f"bytes={length - 7}-")
point("an open range: 206, to the end", response.status == 206 and response.body == whole.body[-7:], response)
response = site.get(PHOTO, Range=f"bytes={length}-")
point("a range behind the end: 416", response.status == 416 and response["Content-Range"] == f"bytes */{length}", response)
response = site.get(PHOTO, Range="bytes=0-99", If_Range=tag)
point("If-Range with this ETag: 206", response.status == 206 and response.body == whole.body[:100], response)
response = site.get(PHOTO, Range="bytes=0-99", If_Range='"stale"')
point("If-Range with a stale one: 200, all of it", response.status == 200 and response.body == whole.body, response)

# HEAD; the server of Django 4.2 leaves the length out, as it may (RFC 9110, 9.3.2)
response = site.ask("HEAD", PHOTO)
headers = [{(name.lower(), value) for name, value in r.headers if name.lower() != "date"} for r in (whole, response)]
point("HEAD: the headers of GET, no body", response.status == 200 and headers[1] <= headers[0] and response.body == b""
      and {name for name, _ in headers[0] - headers[1]} <= {"content-length"}, response)
response = site.get(PHOTO, Method="HEAD")
point("a header Method is no method", response.status == 200 and response.body == whole.body, response)
response = site.ask("HEAD", PHOTO, If_None_Match=tag)
point("HEAD with the same ETag: 304", response.status == 304 and response.body == b"", response)

# A logo, and the pictures of a part
upload(LOGO, "logo-alpha.png")
response = site.get(LOGO)
point("a logo keeps its transparency", looks_like(response.body, folder / "logo-alpha.png")
      and Image.open(io.BytesIO(response.body)).mode == "RGBA", response)
point("a part has no pictures", count() == 0, count())
point("the first of none: 404", site.get(PART).status == 404, site.get(PART))
for name in ("orientation-6.jpg", "photo-444-odd.jpg"):
    upload(PART, name)
point("then it has two", count() == 2, count())
for index, name, size in ((0, "orientation-6.jpg", (96, 64)), (1, "photo-444-odd.jpg", (201, 133))):
    response = site.get(f"{PART}?index={index}")
    point(f"index={index} is {name}", response.status == 200 and Image.open(io.BytesIO(response.body)).size == size
          and looks_like(response.body, folder / name), response)
point("no index is the first", site.get(PART).body == site.get(PART + "?index=0").body)
for index in (2, 9, 2**31 - 2):
    response = site.get(f"{PART}?index={index}")
    point(f"index={index}: 404", response.status == 404, response)
for index in ("-1", 2**31 - 1, 2**64, "9" * 5000, "x"):
    response = site.get(f"{PART}?index={index}")
    point(f"index={str(index)[:20]}: refused", response.status in (400, 404, 422), response)

# What is refused, and leaves what was there
before = stored()
huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
for what, data, status, said in (
        ("a text", fixture("text.jpg"), 422, "not an image"), ("nothing", b"", 422, "not an image"),
        ("a damaged picture", fixture("truncated.jpg"), 422, ""), ("an AVIF", fixture("photo.avif"), 415, "avif"),
        ("more pixels than allowed", huge, 413, "60000"), ("more bytes than allowed", b"GIF89a" + bytes(20_000_000), 413, "20000000")):
    for path in (PHOTO, PART):
        response = site.upload(path, data)
        point(f"{what} to {path}: {status}, and why", response.status == status and said in response.body.decode()
              and "detail" in response.body.decode(), response)
response = site.upload(PHOTO, fixture("photo.webp"), field="another")
point("a form without the file: refused", response.status in (400, 422), response)
point("nothing of all that is stored", stored() == before)
for path in ("/images/users/99", "/images/parts/99", "/images/parts/99/count", "/images/nothing/1", "/images/users/99999999999999999999"):
    point(f"{path}: 404", site.get(path).status == 404, site.get(path))
response = upload("/images/users/99", "photo.webp")
point("a photo for nobody: 404", response.status == 404, response)

# A picture that is replaced, and many at once
upload(PHOTO, "photo-progressive.jpg")
response = site.get(PHOTO, If_None_Match=tag)
point("another photo has another ETag", response.status == 200 and response["ETag"] != tag
      and looks_like(response.body, folder / "photo-progressive.jpg"), response)
with ThreadPoolExecutor(6) as pool:
    statuses = list(pool.map(lambda name: upload(PART, name).status, ["photo.webp", "logo-alpha.png", "photo.bmp"] * 2))
point("six pictures at once for one part: none is lost", count() == 8, statuses)

# The page
response = site.get("/")
images = findall(r'<img src="([^"]+)"', response.body.decode())
point("the page shows all of them", response.status == 200 and len(images) == 10, images)
point("and each is there", all(site.get(image).status == 200 for image in images), images)
finish()
