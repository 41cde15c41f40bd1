#!/usr/bin/python3
"""The measuring of test/bench/push, which sets up what this needs (PGHOST etc.,
BENCH_SINK, BENCH_BARE and perhaps S3_ENDPOINT in the environment)."""
import ctypes
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import psycopg2

from common import Backend, heading, machine, memory_kb

RUNS = int(os.environ.get("BENCH_RUNS") or 5)
SECTIONS = (os.environ.get("BENCH_SECTIONS") or "sink s3 memory large insert latency").split()
OBJECTS = int(os.environ.get("PUSH_OBJECTS") or 2000)
BYTES = int(os.environ.get("PUSH_BYTES") or 150000)
UPLOADS = int(os.environ.get("PUSH_UPLOADS") or 50000)
LARGE = int(os.environ.get("PUSH_LARGE") or 900000000)
HERE = os.path.dirname(os.path.abspath(__file__))
KEY, SECRET = "TESTACCESSKEY0000000", "testsecret/with+special=chars0123456789"
ENVIRONMENT = dict(os.environ, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1")


def verdict(value, goal, unit="", least=False):
    return "(goal %s %g%s: %s)" % (">=" if least else "<=", goal, unit and " " + unit,
                                   "kept" if (value >= goal if least else value <= goal) else "MISSED")


# ---------------------------------------------------------------- processes

def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


def command(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as f:
            return f.read()
    except OSError:
        return ""


def cpu_seconds(pid):
    """Of a process without threads, in nanoseconds' steps."""
    try:
        with open("/proc/%d/schedstat" % pid) as f:
            return int(f.read().split()[0]) / 1e9
    except OSError:
        return None


class Pushers:
    """Launcher, workers and couriers of the server, which come and go: what
    they have used, and how much memory they have, looked at all the time."""

    def __init__(self, server, interval=0.02):
        self.server = server
        self.interval = interval
        self.used = {}
        self.samples = []
        self.stopping = False
        self.look()
        self.base = dict(self.used)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def look(self):
        total = {"RssAnon": 0, "RssFile": 0, "arena": 0, "buffers": 0}
        both = 0
        for pid in children(self.server):
            name = command(pid)
            if "mediastore" not in name:
                continue
            self.note(pid)
            if "worker" in name:
                try:
                    for field in ("RssAnon", "RssFile"):
                        total[field] += memory_kb(pid, field)
                    total["buffers"] += memory_kb(pid, "RssShmem")
                    both |= 1
                except OSError:
                    pass
            for child in children(pid):
                self.note(child)
                if "courier" in command(child):
                    try:
                        for field, what in (("RssAnon", "RssAnon"), ("RssFile", "RssFile"), ("RssShmem", "arena")):
                            total[what] += memory_kb(child, field)
                        both |= 2
                    except OSError:
                        pass
        if both == 3:
            self.samples.append((time.monotonic(), total))

    def note(self, pid):
        used = cpu_seconds(pid)
        if used is not None:
            self.used[pid] = used

    def run(self):
        while not self.stopping:
            self.look()
            time.sleep(self.interval)

    def stop(self):
        """Seconds of CPU since the beginning."""
        self.stopping = True
        self.thread.join()
        self.look()
        return sum(used - self.base.get(pid, 0) for pid, used in self.used.items())


def start(*arguments):
    """A program that says "ready PORT"."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline().split()
    if line[:1] != ["ready"]:
        raise SystemExit("%s did not start" % arguments[0])
    return process, "http://127.0.0.1:" + line[1]


class Sink:
    def __init__(self):
        self.process, self.endpoint = start(os.environ["BENCH_SINK"])

    def ask(self, method="GET"):
        with urllib.request.urlopen(urllib.request.Request(self.endpoint + "/_sink", method=method)) as answer:
            return json.load(answer)

    def stop(self):
        self.process.kill()
        self.process.wait()


# ---------------------------------------------------------------- the database

class Database(Backend):
    def __init__(self):
        super().__init__()
        with open("%s/data/postmaster.pid" % os.environ["WORK"]) as f:
            self.server = int(f.readline())

    def do(self, *statements):
        for statement in statements:
            self.cursor.execute(statement)

    def store(self, name, endpoint, bucket="bench"):
        self.do("CREATE SERVER %s TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket '%s', region 'us-east-1', "
                "endpoint '%s', private_network 'true')" % (name, bucket, endpoint),
                "CREATE USER MAPPING FOR PUBLIC SERVER %s OPTIONS (access_key_id '%s', secret_access_key '%s')" % (name, KEY, SECRET))

    def table(self, name, server):
        """Its bytes are stored as they are, as pictures' are."""
        self.do("CREATE TABLE %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data bytea)" % name,
                "ALTER TABLE %s ALTER data SET STORAGE EXTERNAL" % name)
        if server:
            arguments = "('data', 'server=%s', 'key={table}/{sha256}')" % server
            self.do("CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE OF id, data ON %s FOR EACH ROW "
                    "EXECUTE FUNCTION media_push_trigger%s" % (name, arguments),
                    "CREATE TRIGGER push_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT "
                    "EXECUTE FUNCTION media_push_trigger%s" % (name, arguments))

    def left(self):
        return self.ask("SELECT (SELECT count(*) FROM mediastore.change) "
                        "+ (SELECT count(*) FROM mediastore.object WHERE state = ANY ('{pending,deleting}'))")

    def is_done(self):
        """Asked often, so it is to take little from those it asks about."""
        return self.ask("SELECT NOT EXISTS (SELECT FROM mediastore.change) AND NOT EXISTS "
                        "(SELECT FROM mediastore.object WHERE state = ANY ('{pending,deleting}'))")

    def wait(self, seconds=600):
        began = time.monotonic()
        while not self.is_done():
            spent = time.monotonic() - began
            if spent > seconds:
                self.cursor.execute("SELECT w::text FROM mediastore.worker w")
                raise SystemExit("the queue does not become empty: %s" % self.cursor.fetchall())
            # to a fiftieth exactly, and no oftener: asking takes time of the two cores, too
            time.sleep(min(max(spent / 50, 0.005), 0.1))
        dead = self.ask("SELECT count(*) FROM mediastore.object WHERE state = 'dead'")
        if dead:
            raise SystemExit("%d objects are dead: %s" % (dead, self.ask("SELECT max(last_error) FROM mediastore.object")))

    def set_enabled(self, value):
        self.do("ALTER SYSTEM SET mediastore.enabled = " + value, "SELECT pg_reload_conf()")
        while self.ask("SHOW mediastore.enabled") != value:
            time.sleep(0.01)
        time.sleep(0.1)

    def empty(self, *tables):
        """Rows and objects are gone, and what they leave in the catalog, too."""
        for table in tables:
            self.do("TRUNCATE " + table)
        self.wait()
        self.do("VACUUM mediastore.change", "VACUUM mediastore.object", "VACUUM mediastore.attachment", "CHECKPOINT")


# ---------------------------------------------------------------- speed

def bare(endpoint, bucket, program, parallel=8):
    output = subprocess.run(program + [endpoint, bucket, str(OBJECTS), str(BYTES), str(parallel)], env=ENVIRONMENT,
                            stdout=subprocess.PIPE, check=True, text=True).stdout
    said = json.loads(output)
    return said["rate"], said["cpu"]


def pushed(database, table):
    """One transaction's rows, from its commit to the last object's being known as stored."""
    # other bytes in each run
    stamp = int(time.time() * 1000) % (1 << 40)
    database.do("BEGIN", "INSERT INTO %s (data) SELECT overlay(data PLACING int8send(%d::int8 * 100000 + id) FROM 1) FROM source" % (table, stamp))
    # the worker and its courier are there, as the others' loops are
    other = Database()
    other.do("INSERT INTO %s (data) VALUES ('')" % table)
    other.wait()
    other.connection.close()
    pushers = Pushers(database.server, 0.1)
    began = time.monotonic()
    database.do("COMMIT")
    database.wait()
    spent = time.monotonic() - began
    cpu = pushers.stop()
    database.empty(table)
    return OBJECTS / spent, 1000 * cpu / OBJECTS


def by_turns(functions):
    results = [[] for _ in functions]
    for function in functions:
        function()
    for run in range(RUNS):
        pairs = list(zip(functions, results))
        for function, values in pairs if run % 2 == 0 else reversed(pairs):
            values.append(function())
    return results


def make_source(database):
    database.do("CREATE TABLE source (id int, data bytea)", "ALTER TABLE source ALTER data SET STORAGE EXTERNAL")
    for number in range(OBJECTS):
        database.cursor.execute("INSERT INTO source VALUES (%s, %s)", (number, psycopg2.Binary(os.urandom(BYTES))))
    database.do("VACUUM ANALYZE source", "CHECKPOINT")


def speed(database, name, endpoint, empty, goal_of_boto):
    heading("%s: %d objects of %d bytes, 8 at a time, medians of %d" % (name, OBJECTS, BYTES, RUNS))
    database.store(name, endpoint)
    table = "pushed_" + name
    database.table(table, name)
    boto = [sys.executable, os.path.join(HERE, "boto.py")]

    def then_empty(program):
        def run():
            result = bare(endpoint, "bench", program)
            empty()
            return result
        return run

    results = by_turns([lambda: pushed(database, table), then_empty([os.environ["BENCH_BARE"]]), then_empty(boto)])
    rates = [statistics.median(rate for rate, _ in values) for values in results]
    cpus = [statistics.median(cpu for _, cpu in values) for values in results]
    for what, rate, cpu in zip(("the worker and its courier", "bare curl_multi", "boto3, 8 threads"), rates, cpus):
        print("%-28s %8.0f objects/s %8.3f ms of CPU an object" % (what, rate, cpu))

    def ratio(of, index=0):
        return statistics.median(a[index] / b[index] for a, b in zip(results[0], results[of]))
    print("of bare curl_multi's rate: %.0f %% %s" % (100 * ratio(1), verdict(100 * ratio(1), 80, "%", least=True)))
    print("times boto3's rate: %.2f %s" % (ratio(2), verdict(ratio(2), 1.5, least=True) if goal_of_boto else ""))
    print("of boto3's CPU an object: %.0f %% %s" % (100 * ratio(2, 1), verdict(100 * ratio(2, 1), 33.4, "%")))


def empty_bucket(endpoint):
    import boto3
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bench"):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if keys:
            client.delete_objects(Bucket="bench", Delete={"Objects": keys, "Quiet": True})


# ---------------------------------------------------------------- memory

def own(sample):
    """Of worker and courier, kB, without the server's shared buffers."""
    return sample["RssAnon"] + sample["RssFile"] + sample["arena"]


def tell_memory(samples, flat):
    if not samples:
        raise SystemExit("there was no worker with a courier to look at")
    sums = [own(sample) for _, sample in samples]
    peak = max(sums)
    last = samples[-1][1]
    print("peak %.1f MB %s; at the end: RssAnon %.1f, RssFile %.1f, the courier's arena %.1f MB; and %.1f MB of shared buffers" % (
        peak / 1024, verdict(peak / 1024, 96, "MB"), last["RssAnon"] / 1024, last["RssFile"] / 1024, last["arena"] / 1024,
        last["buffers"] / 1024))
    if flat:
        # the first tenth fills caches
        rest = sums[len(sums) // 10:]
        slices = [statistics.median(rest[i * len(rest) // 9:(i + 1) * len(rest) // 9]) for i in range(9)]
        print("medians of ninths after the first tenth, MB: " + " ".join("%.1f" % (s / 1024) for s in slices))
        spread = (max(slices) - min(slices)) / 2 / 1024
        print("flat within +-%.1f MB %s" % (spread, verdict(spread, 5, "MB")))


def memory(database, sink):
    size, batch = 20000, 1000
    heading("memory: of worker and courier during %d uploads of %d bytes" % (UPLOADS, size))
    database.table("soaked", "memory_sink")
    source = os.urandom(size)
    pushers = Pushers(database.server, 0.05)
    began = time.monotonic()
    for first in range(0, UPLOADS, batch):
        database.cursor.execute("INSERT INTO soaked (data) SELECT overlay(%s PLACING int8send(n) FROM 1) FROM generate_series(%s::int8, %s) n",
                                (psycopg2.Binary(source), first, first + batch - 1))
        # the queue is never empty, and never long
        while database.left() > 2 * batch:
            time.sleep(0.05)
    database.wait()
    spent = time.monotonic() - began
    cpu = pushers.stop()
    print("%d objects at the sink, %.0f a second, %.3f ms of CPU each" % (sink.ask()["objects"], UPLOADS / spent, 1000 * cpu / UPLOADS))
    tell_memory(pushers.samples, True)
    database.empty("soaked")


def large(database, sink):
    heading("large: memory of worker and courier during the upload of %d bytes" % LARGE)
    database.table("huge", "memory_sink")
    path = os.path.join(os.environ["WORK"], "run", "large")
    with open(path, "wb") as f:
        left = LARGE
        while left:
            piece = os.urandom(min(left, 1 << 20))
            f.write(piece)
            left -= len(piece)
    os.chmod(path, 0o644)
    before = sink.ask("POST")
    database.cursor.execute("BEGIN")
    database.cursor.execute("INSERT INTO huge (data) SELECT pg_read_binary_file(%s)", (path,))
    os.unlink(path)
    pushers = Pushers(database.server, 0.02)
    began = time.monotonic()
    database.do("COMMIT")
    database.wait(1200)
    spent = time.monotonic() - began
    cpu = pushers.stop()
    after = sink.ask()
    print("%d bytes at the sink in %.1f s, %.0f MB/s, %.2f s of CPU" % (
        after["bytes"] - before["bytes"], spent, LARGE / spent / 1e6, cpu))
    tell_memory(pushers.samples, False)
    database.empty("huge")


# ---------------------------------------------------------------- INSERT, latency

def insert(database):
    heading("insert: of small rows, with the trigger and without, by turns, medians of %d" % RUNS)
    database.table("with_it", "memory_sink")
    database.table("without", None)
    script = os.path.join(os.environ["WORK"], "insert.sql")

    def single(table, seconds):
        """So many sessions that no core rests: to be woken takes longer than a row."""
        with open(script, "w") as f:
            f.write("INSERT INTO %s (data) VALUES (decode(md5(random()::text), 'hex'));\n" % table)
        output = subprocess.run([os.environ["BINDIR"] + "/pgbench", "-n", "-M", "prepared", "-c", "4", "-T", str(seconds), "-f", script],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
        return float(next(line.split()[2] for line in output.splitlines() if line.startswith("tps = ")))

    def many(table, seconds):
        rows = 1000
        began, done = time.monotonic(), 0
        while time.monotonic() < began + seconds:
            database.do("INSERT INTO %s (data) SELECT decode(md5(random()::text), 'hex') FROM generate_series(1, %d)" % (table, rows))
            done += rows
        return done / (time.monotonic() - began)

    def run(function, table, seconds, at_work):
        if not at_work:
            database.set_enabled("off")
        rate = function(table, seconds)
        if not at_work:
            # nobody is to work that off
            database.do("TRUNCATE mediastore.change")
            database.set_enabled("on")
        database.empty(table)
        return rate

    # while the worker is off the trigger's own cost is seen; else it, and the
    # pushing, take their share of the machine
    database.do("INSERT INTO with_it (data) VALUES ('')")
    database.wait()
    for what, function, at_work, seconds in (("a row a statement", single, False, 5), ("1,000 rows a statement", many, False, 2),
                                             ("a row a statement", single, True, 1)):
        with_it, without = [], []
        for turn in range(RUNS):
            for table, rates in (("with_it", with_it), ("without", without))[::1 if turn % 2 == 0 else -1]:
                rates.append(run(function, table, seconds, at_work))
        ratio = 100 * statistics.median(with_it) / statistics.median(without)
        print("%-24s worker %-8s %9.0f rows/s, without %9.0f: %.0f %% %s" % (
            what, "at work" if at_work else "off", statistics.median(with_it), statistics.median(without), ratio,
            verdict(ratio, 70, "%", least=True)), flush=True)


def latency(database, sink):
    heading("latency: from COMMIT to the head of its upload at the sink, ms")
    database.table("timed", "memory_sink")
    for what, count, pause in (("one after the other", 200, 0.01), ("worker and courier at rest for 6 s", 5, 6)):
        times = []
        for number in range(count + 1):
            time.sleep(pause)
            before = sink.ask()["objects"]
            database.do("BEGIN")
            database.cursor.execute("INSERT INTO timed (data) VALUES (%s)", (psycopg2.Binary(os.urandom(BYTES)),))
            began = time.time()
            database.do("COMMIT")
            until = time.monotonic() + 30
            while sink.ask()["objects"] == before:
                if time.monotonic() > until:
                    raise SystemExit("a row was not pushed within 30 s")
                time.sleep(0.002)
            times.append(1000 * (sink.ask()["last_start"] - began))
        times = sorted(times[1:])
        median = statistics.median(times)
        print("%-36s median %.1f, 95th percentile %.1f, most %.1f %s" % (
            what, median, times[int(0.95 * (len(times) - 1))], times[-1], verdict(median, 20, "ms")), flush=True)
        database.wait()
    database.empty("timed")


def main():
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)
    machine()
    database = Database()
    sink = Sink()
    try:
        if "sink" in SECTIONS or "s3" in SECTIONS:
            make_source(database)
        if "sink" in SECTIONS:
            speed(database, "sink", sink.endpoint, lambda: None, False)
        endpoint = os.environ.get("S3_ENDPOINT")
        if "s3" in SECTIONS and endpoint:
            speed(database, "s3", endpoint, lambda: empty_bucket(endpoint), True)
        database.store("memory_sink", sink.endpoint)
        if "memory" in SECTIONS:
            sink.ask("POST")
            memory(database, sink)
        if "large" in SECTIONS:
            large(database, sink)
        if "insert" in SECTIONS:
            insert(database)
        if "latency" in SECTIONS:
            latency(database, sink)
    finally:
        sink.stop()


main()
