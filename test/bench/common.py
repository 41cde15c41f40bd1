"""What the benches share: processes, connections, printing."""
import math
import os
import platform

import psycopg2

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


# ---------------------------------------------------------------- processes

def cpu_ns(pid):
    """CPU time a process has used.  schedstat counts nanoseconds, stat only
    hundredths of a second but also of threads that are gone."""
    if not pid:
        return 0
    try:
        spent = 0
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                spent += int(f.read().split()[0])
        return spent
    except FileNotFoundError:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 10 ** 9 // os.sysconf("SC_CLK_TCK")


def memory_kb(pid, field):
    if not pid:
        return 0
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return 0


def pss_kb(pid):
    if not pid:
        return 0
    try:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


class Backend:
    """One connection, and the processes behind it."""

    def __init__(self):
        self.connection = psycopg2.connect("")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.pid = self.connection.get_backend_pid()
        self.codec = None

    def ask(self, query, *arguments):
        self.cursor.execute(query, arguments)
        return self.cursor.fetchone()[0]

    def find_codec(self):
        self.cursor.execute("SELECT pid FROM mediastore.helper WHERE pid IS NOT NULL LIMIT 1")
        row = self.cursor.fetchone()
        self.codec = row[0] if row else None
        return self.codec

    def timed(self, query, *arguments):
        """The answer, and the CPU nanoseconds of backend and codec."""
        before = cpu_ns(self.pid) + cpu_ns(self.codec)
        answer = self.ask(query, *arguments)
        return answer, cpu_ns(self.pid) + cpu_ns(self.codec) - before


# ---------------------------------------------------------------- printing

def geomean(values):
    values = [v for v in values if v > 0]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def ms(ns):
    return ns / 1e6


def heading(text):
    print("\n" + text + "\n" + "-" * len(text), flush=True)


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    print("machine: %s, %d cores, Linux %s, load %.2f" % (model, os.cpu_count(), platform.release(), os.getloadavg()[0]))
    print("here:    " + os.environ.get("BENCH_VERSIONS", ""))


# ---------------------------------------------------------------- pictures

def pictures_of(folder):
    pictures = sorted(n for n in os.listdir(folder) if n.lower().endswith(EXTENSIONS))
    if not pictures:
        raise SystemExit("%s: no pictures in it" % folder)
    return pictures
