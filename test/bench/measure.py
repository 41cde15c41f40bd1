#!/usr/bin/python3
"""The measuring of test/bench/run, which sets up what this needs.

usage: measure.py FOLDER INPROCESS (with PGHOST etc. in the environment)
"""
import io
import os
import platform
import statistics
import subprocess
import sys
import threading
import time

import numpy
import psycopg2
from PIL import Image, ImageCms, ImageOps, features

from common import Backend, geomean, heading, machine, memory_kb, ms, pictures_of, pss_kb

Image.MAX_IMAGE_PIXELS = None
FOLDER, INPROCESS = sys.argv[1:]
RUNS = int(os.environ.get("BENCH_RUNS") or 5)
SECTIONS = (os.environ.get("BENCH_SECTIONS") or "compare boundary memory info budget").split()
OPTIONS = os.environ.get("BENCH_OPTIONS") or ""
WITH_OPTIONS = ", " + OPTIONS if OPTIONS else ""


# ---------------------------------------------------------------- in process

class InProcess:
    """The image room in a process of its own, asked line by line."""

    def __init__(self):
        self.process = subprocess.Popen([INPROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def compress(self, path, runs=1, max_bytes=500000, quality=85, min_quality=40):
        self.process.stdin.write("%d %d %d %d %s\n" % (runs, max_bytes, quality, min_quality, path))
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 7:
            raise SystemExit("the in-process program failed on " + path)
        names = ("cpu", "wall", "bytes", "width", "height", "quality", "encodes")
        return dict(zip(names, map(int, answer)))


# ---------------------------------------------------------------- quality

def luma(picture):
    return numpy.asarray(picture.convert("RGB").convert("L"), dtype=numpy.float64)


def blurred(plane):
    """An 11 x 11 gaussian window of deviation 1.5, where it fits whole."""
    window = numpy.exp(-((numpy.arange(11) - 5) ** 2) / (2 * 1.5 ** 2))
    window /= window.sum()
    rows = sum(w * plane[i:plane.shape[0] - 10 + i, :] for i, w in enumerate(window))
    return sum(w * rows[:, i:rows.shape[1] - 10 + i] for i, w in enumerate(window))


def ssim(a, b):
    if min(a.shape) < 11:
        return float("nan")
    mean_a, mean_b = blurred(a), blurred(b)
    var_a = blurred(a * a) - mean_a ** 2
    var_b = blurred(b * b) - mean_b ** 2
    covar = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * mean_a * mean_b + c1) * (2 * covar + c2)) /
                  ((mean_a ** 2 + mean_b ** 2 + c1) * (var_a + var_b + c2))).mean())


class Reference:
    """An original, upright, from a full decode; in sRGB or as its numbers are."""

    def __init__(self, data):
        picture = Image.open(io.BytesIO(data))
        profile = picture.info.get("icc_profile")
        picture.load()
        picture = ImageOps.exif_transpose(picture)
        if picture.mode not in ("RGB", "CMYK", "L"):
            picture = picture.convert("RGB")
        self.plain = picture.convert("RGB")
        self.srgb = self.plain
        if profile:
            try:
                self.srgb = ImageCms.profileToProfile(
                    picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
                    renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB")
            except (ImageCms.PyCMSError, OSError, ValueError):
                pass
        self.reduced = {}

    def ssim(self, result, srgb):
        picture = Image.open(io.BytesIO(bytes(result)))
        key = (picture.size, srgb)
        if key not in self.reduced:
            full = self.srgb if srgb else self.plain
            self.reduced[key] = luma(full.resize(picture.size, Image.Resampling.LANCZOS))
        return ssim(luma(picture), self.reduced[key])


# ---------------------------------------------------------------- sections

def load(backend, name, data):
    backend.cursor.execute("INSERT INTO picture VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET data = excluded.data",
                           (name, psycopg2.Binary(data)))


def compare(ours, peer, pictures, references):
    heading("compare: media_compress(%s) against PL/Python with Pillow, CPU ms, medians of %d" % (OPTIONS or "", RUNS))
    print("%-34s %7s %9s %9s %6s %9s %9s %6s %7s %7s %8s" % (
        "file", "Mpixel", "ours ms", "peer ms", "x", "ours B", "peer B", "ratio", "ssim", "peer", "diff"))
    mine_query = "SELECT media_compress(data%s) FROM picture WHERE name = %%s" % WITH_OPTIONS
    peer_query = "SELECT peer_compress(data) FROM picture WHERE name = %s"
    rows = []
    for name in pictures:
        mine, theirs = [], []
        for query, backend in ((mine_query, ours), (peer_query, peer)):
            backend.ask(query, name)
        ours.find_codec()
        for run in range(RUNS):
            pair = [(mine_query, ours, mine), (peer_query, peer, theirs)]
            for query, backend, times in pair if run % 2 == 0 else reversed(pair):
                answer, spent = backend.timed(query, name)
                times.append(spent)
                if backend is ours:
                    result = answer
                else:
                    peer_result = answer
        reference = references(name)
        quality = reference.ssim(result, True)
        peer_quality = reference.ssim(peer_result, False)
        a, b = statistics.median(mine), statistics.median(theirs)
        rows.append((a, b, len(result), len(peer_result), quality, peer_quality))
        print("%-34s %7.1f %9.1f %9.1f %6.2f %9d %9d %6.3f %7.4f %7.4f %+8.4f" % (
            name[:34], reference.plain.width * reference.plain.height / 1e6, ms(a), ms(b), b / a,
            len(result), len(peer_result), len(result) / len(peer_result), quality, peer_quality,
            quality - peer_quality), flush=True)
    speed = [r[1] / r[0] for r in rows]
    size = [r[2] / r[3] for r in rows]
    diff = [r[4] - r[5] for r in rows]
    print("speed ratio: geometric mean %.2f, median %.2f, least %.2f" % (geomean(speed), statistics.median(speed), min(speed)))
    print("bytes ratio: geometric mean %.3f, median %.3f, most %.3f" % (geomean(size), statistics.median(size), max(size)))
    print("SSIM difference: mean %+.4f, median %+.4f, least %+.4f" % (statistics.mean(diff), statistics.median(diff), min(diff)))


def boundary(ours, inprocess, pictures):
    jpegs = [n for n in pictures if n.lower().endswith((".jpg", ".jpeg"))]
    if not jpegs:
        return
    name = min(jpegs, key=lambda n: abs(os.path.getsize(os.path.join(FOLDER, n)) - 4000000))
    path = os.path.join(FOLDER, name)
    heading("boundary: media_compress in the server against image_compress in a process, %s, %.1f MB" % (
        name, os.path.getsize(path) / 1e6))
    each, rounds = 5, max(9, RUNS)
    query = "SELECT compress_flat(%s, %s)"
    ours.ask(query, name, 2)
    ours.find_codec()
    inprocess.compress(path, 2)
    cpu, wall, bare_cpu, bare_wall = [], [], [], []
    for _ in range(rounds):
        began = time.monotonic_ns()
        _, spent = ours.timed(query, name, each)
        wall.append((time.monotonic_ns() - began) / each)
        cpu.append(spent / each)
        bare = inprocess.compress(path, each)
        bare_cpu.append(bare["cpu"])
        bare_wall.append(bare["wall"])
    for what, with_it, without in (("CPU", cpu, bare_cpu), ("wall", wall, bare_wall)):
        a, b = statistics.median(with_it), statistics.median(without)
        pairs = statistics.median(x / y for x, y in zip(with_it, without))
        print("%-4s  in the server %.2f ms, in process %.2f ms: %+.2f ms, %+.1f %% (median of the pairs %+.1f %%; least against least %+.1f %%)" % (
            what, ms(a), ms(b), ms(a - b), 100 * (a / b - 1), 100 * (pairs - 1), 100 * (min(with_it) / min(without) - 1)))


def peak(name, query, tell_codec):
    """Peak of a fresh backend and its codec above what they take idle, kB."""
    backend = Backend()
    try:
        backend.ask(query, "small")
        backend.ask("SELECT md5(data) FROM picture WHERE name = %s", name)
        if tell_codec:
            backend.find_codec()
        pids = [p for p in (backend.pid, backend.codec) if p]
        idle = sum(memory_kb(p, "VmRSS") for p in pids)
        idle_pss = sum(map(pss_kb, pids))
        for pid in pids:
            with open("/proc/%d/clear_refs" % pid, "w") as f:
                f.write("5")
        most, done = [0], threading.Event()

        def sample():
            while not done.is_set():
                try:
                    most[0] = max(most[0], sum(map(pss_kb, pids)))
                except OSError:
                    pass
                time.sleep(0.002)

        # once for the high-water mark, once more with the sampling of what is
        # shared counted once
        backend.ask(query, name)
        high = sum(memory_kb(p, "VmHWM") for p in pids)
        sampler = threading.Thread(target=sample)
        sampler.start()
        backend.ask(query, name)
        done.set()
        sampler.join()
        return idle, high - idle, most[0] - idle_pss
    finally:
        backend.connection.close()


def twenty_four(pictures):
    """A JPEG of 24 megapixels, baseline and progressive."""
    biggest = max((n for n in pictures if n.lower().endswith((".jpg", ".jpeg"))),
                  key=lambda n: os.path.getsize(os.path.join(FOLDER, n)))
    picture = Image.open(os.path.join(FOLDER, biggest)).convert("RGB").resize((6000, 4000), Image.Resampling.BICUBIC)
    made = {}
    for kind in ("baseline", "progressive"):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90, progressive=kind == "progressive")
        made[kind] = out.getvalue()
    return made


def memory(ours, pictures):
    heading("memory: peak of backend and codec above idle, a JPEG of 6000 x 4000 to 1024")
    small = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(small, "JPEG")
    load(ours, "small", small.getvalue())
    for kind, data in twenty_four(pictures).items():
        load(ours, kind, data)
        line = []
        for who, query, codec in (("ours", "SELECT octet_length(media_compress(data)) FROM picture WHERE name = %s", True),
                                  ("peer", "SELECT octet_length(peer_compress(data)) FROM picture WHERE name = %s", False)):
            idle, high, shared_once = peak(kind, query, codec)
            line.append("%s %.1f MB (%.1f MB with shared pages counted once; idle %.1f MB)" % (
                who, high / 1024, shared_once / 1024, idle / 1024))
        print("%-11s %5.1f MB: %s" % (kind, len(data) / 1e6, ", ".join(line)))


def info(ours, peer, pictures):
    heading("info: microseconds a call, the row's look-up (an empty loop) taken off")
    biggest = max((n for n in pictures if n.lower().endswith((".jpg", ".jpeg"))),
                  key=lambda n: os.path.getsize(os.path.join(FOLDER, n)))
    with open(os.path.join(FOLDER, biggest), "rb") as f:
        real = f.read()
    picture = Image.open(io.BytesIO(real)).convert("RGB").resize((6000, 4000), Image.Resampling.BICUBIC)
    made = {}
    for quality in range(60, 100, 3):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() >= 5000000:
            break
    made["made_5MB"] = out.getvalue()
    out = io.BytesIO()
    picture.resize((600, 400)).save(out, "JPEG", quality=85)
    made["made_small"] = out.getvalue()
    made["camera"] = real
    for name, data in made.items():
        load(ours, name, data)
        for backend in (ours, peer):
            backend.ask("SELECT time_info(%s, 100, 'media_info')", name)
        times = {}
        for what, runs in (("nothing", 20000), ("media_info", 20000), ("media_format", 20000), ("peer_info", 50)):
            backend = peer if what == "peer_info" else ours
            times[what] = statistics.median(float(backend.ask("SELECT time_info(%s, %s, %s)", name, runs, what)) for _ in range(5))
        print("%-11s %8d bytes: media_info %.1f us, media_format %.1f us (the loop itself %.1f us); peer %.0f us" % (
            name, len(data), times["media_info"] - times["nothing"], times["media_format"] - times["nothing"],
            times["nothing"], times["peer_info"] - times["nothing"]))


def budget(ours, peer, inprocess, pictures, references):
    ladder = (85, 75, 60, 50, 40)
    huge = 2 ** 30
    heading("budget: a picture that does not fit at quality 85: the search against the ladder 85/75/60/50/40 (! over it)")
    print("%-34s %8s | %7s %7s %7s %7s | %7s %7s %7s | %6s %9s" % (
        "file", "budget", "quality", "encodes", "bytes", "ssim", "ladder", "bytes", "ssim", "ms", "peer's ms"))
    quality_gain, ssim_gain, times, extra, short = [], [], [], [], 0
    for name in pictures:
        path = os.path.join(FOLDER, name)
        single = inprocess.compress(path, 3, huge, 85, 85)
        for part in (0.8, 0.5):
            limit = int(single["bytes"] * part)
            found = inprocess.compress(path, 3, limit, 85, 40)
            step = next((q for q in ladder if inprocess.compress(path, 1, huge, q, q)["bytes"] <= limit), 0)
            query = "SELECT media_compress(data, max_bytes => %s) FROM picture WHERE name = %%s" % limit
            peer_query = "SELECT peer_compress(data, %s) FROM picture WHERE name = %%s" % limit
            mine, theirs = [], []
            for _ in range(max(3, RUNS // 2)):
                result, spent = ours.timed(query, name)
                mine.append(spent)
                peer_result, spent = peer.timed(peer_query, name)
                theirs.append(spent)
            reference = references(name)
            quality, peer_quality = reference.ssim(result, True), reference.ssim(peer_result, False)
            a, b = statistics.median(mine), statistics.median(theirs)
            over = " !" if len(result) > limit or len(peer_result) > limit else ""
            print("%-34s %8d | %7d %7d %7d %7.4f | %7d %7d %7.4f | %6.1f %9.1f%s" % (
                name[:34], limit, found["quality"], found["encodes"], len(result), quality,
                step, len(peer_result), peer_quality, ms(a), ms(b), over), flush=True)
            if found["quality"] < step:
                short += 1
            quality_gain.append(found["quality"] - step)
            ssim_gain.append(quality - peer_quality)
            times.append(a / b)
            extra.append(found["cpu"] / single["cpu"])
    print("quality above the ladder's: mean %+.1f, least %+d; below it in %d of %d" % (
        statistics.mean(quality_gain), min(quality_gain), short, len(quality_gain)))
    print("SSIM above Pillow's ladder: mean %+.4f, least %+.4f" % (statistics.mean(ssim_gain), min(ssim_gain)))
    print("time: %.0f %% of Pillow's ladder (geometric mean); the search takes %.2f times a single encode's whole" % (
        100 * geomean(times), geomean(extra)))


def main():
    pictures = pictures_of(FOLDER)
    machine()
    print("peer:    Python %s, Pillow %s (libjpeg-turbo %s, libwebp %s)" % (
        platform.python_version(), features.version("pil"), features.version("libjpeg_turbo"), features.version("webp")))
    ours, peer = Backend(), Backend()
    for name in pictures:
        with open(os.path.join(FOLDER, name), "rb") as f:
            load(ours, name, f.read())
    kept = {}

    def references(name):
        if name not in kept:
            kept.clear()    # one at a time: they are large
            with open(os.path.join(FOLDER, name), "rb") as f:
                kept[name] = Reference(f.read())
        return kept[name]

    inprocess = InProcess()
    if "compare" in SECTIONS:
        compare(ours, peer, pictures, references)
    if "boundary" in SECTIONS:
        boundary(ours, inprocess, pictures)
    if "memory" in SECTIONS:
        memory(ours, pictures)
    if "info" in SECTIONS:
        info(ours, peer, pictures)
    if "budget" in SECTIONS:
        ours.find_codec()
        budget(ours, peer, inprocess, pictures, references)
    inprocess.process.stdin.close()


main()
