#!/usr/bin/python3
"""The measuring of test/bench/columns, which sets up what this needs.

usage: columns.py FOLDER (with PGHOST etc. in the environment)
"""
import os
import statistics
import sys
import threading
import time

import psycopg2

from common import Backend, geomean, heading, machine, memory_kb, ms, pictures_of

FOLDER, = sys.argv[1:]
RUNS = int(os.environ.get("BENCH_RUNS") or 7)
SECTIONS = (os.environ.get("BENCH_SECTIONS") or "trigger update backfill serve element").split()


def by_turns(functions, runs=RUNS):
    """Calls each function so often, in turns, every other turn from the last
    to the first; gives what they returned, a list a function."""
    results = [[] for _ in functions]
    for function in functions:
        function()
    for run in range(runs):
        pairs = list(zip(functions, results))
        for function, values in pairs if run % 2 == 0 else reversed(pairs):
            values.append(function())
    return results


def execute(backend, *statements):
    for statement in statements:
        backend.cursor.execute(statement)


def verdict(value, goal, unit="", least=False):
    return "(goal %s %g%s: %s)" % (">=" if least else "<=", goal, unit and " " + unit,
                                   "kept" if (value >= goal if least else value <= goal) else "MISSED")


# ---------------------------------------------------------------- sections

def trigger(backend, pictures):
    heading("trigger: INSERT into an attached table against INSERT ... media_compress, CPU ms of backend and codec, medians of %d" % RUNS)
    execute(backend, "CREATE TABLE bare (data bytea)", "ALTER TABLE bare ALTER data SET STORAGE EXTERNAL",
            "CREATE TABLE attached (data bytea)", "SELECT media_attach('attached', 'data')")
    insert = ("INSERT INTO attached SELECT data FROM picture WHERE name = %s RETURNING 1",
              "INSERT INTO bare SELECT media_compress(data) FROM picture WHERE name = %s RETURNING 1")
    print("%-34s %10s %10s %8s" % ("file", "trigger", "function", "more"))
    backend.ask(insert[0], pictures[0])
    backend.find_codec()
    ratios, sums = [], [0, 0]
    for name in pictures:
        with_it, without = by_turns([lambda q=q: backend.timed(q, name)[1] for q in insert])
        a, b = statistics.median(with_it), statistics.median(without)
        ratios.append(a / b)
        sums = [sums[0] + a, sums[1] + b]
        print("%-34s %10.2f %10.2f %+7.1f %%" % (name[:34], ms(a), ms(b), 100 * (a / b - 1)), flush=True)
    print("all: %+.1f %% of the time, geometric mean %+.1f %% %s" % (
        100 * (sums[0] / sums[1] - 1), 100 * (geomean(ratios) - 1), verdict(100 * (sums[0] / sums[1] - 1), 3, "%")))

    # where there is next to nothing to compress, what is left is the trigger
    rows = 1000
    execute(backend, "CREATE TABLE tiny AS SELECT media_compress(data, max_dimension => 16) AS data FROM picture LIMIT 1")
    insert = ("INSERT INTO attached SELECT data FROM tiny, generate_series(1, %s)" % rows,
              "INSERT INTO bare SELECT media_compress(data) FROM tiny, generate_series(1, %s)" % rows)

    def spent(query):
        return backend.timed("WITH inserted AS (" + query + " RETURNING 1) SELECT count(*) FROM inserted")[1] / rows / 1000

    with_it, without = map(statistics.median, by_turns([lambda q=q: spent(q) for q in insert]))
    print("of 16 pixels, as WebP: %.1f us a row with the trigger, %.1f us with the function: %+.1f us" % (
        with_it, without, with_it - without))


def update(backend):
    rows = 1000
    heading("update: %d rows with pictures, CPU us a row, medians of %d" % (rows, max(RUNS, 15)))
    # PostgreSQL itself reads and locks a row once more for any trigger before
    # UPDATE, even one OF a column that is not updated
    tables = {"plain_rows": None, "other_rows": "CREATE TRIGGER other BEFORE UPDATE OF data ON other_rows "
              "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
              "attached_rows": "SELECT media_attach('attached_rows', 'data')"}
    for table, make_trigger in tables.items():
        execute(backend, "CREATE TABLE %s (id int PRIMARY KEY, number int, data bytea) WITH (autovacuum_enabled = off)" % table,
                "ALTER TABLE %s ALTER data SET STORAGE EXTERNAL" % table,
                "INSERT INTO %s SELECT n, 0, data FROM generate_series(1, %d) n, "
                "(SELECT media_compress(data, max_dimension => 320) AS data FROM picture LIMIT 1) p" % (table, rows))
        if make_trigger:
            execute(backend, make_trigger)

    def at_once(table, assignment):
        execute(backend, "VACUUM " + table)
        return backend.timed("WITH updated AS (UPDATE %s SET %s RETURNING 1) SELECT count(*) FROM updated" % (
            table, assignment))[1] / rows / 1000

    def one_by_one(table, assignment):
        execute(backend, "VACUUM " + table)
        return sum(backend.timed("UPDATE %s SET %s WHERE id = %s RETURNING 1" % (table, assignment, row))[1]
                   for row in range(1, rows + 1)) / rows / 1000

    print("%-42s %12s %14s %10s" % ("", "no trigger", "idle trigger", "attached"))
    for what, spent, assignment in (("another column, all in a statement", at_once, "number = number + 1"),
                                    ("another column, a statement a row", one_by_one, "number = number + 1"),
                                    ("the picture by itself, all in a statement", at_once, "data = data"),
                                    ("the picture by itself, a statement a row", one_by_one, "data = data")):
        # an idle trigger that fires is another matter
        names = [t for t in tables if t != "other_rows" or assignment != "data = data"]
        results = by_turns([lambda t=t: spent(t, assignment) for t in names], max(RUNS, 15))
        times = dict(zip(names, map(statistics.median, results)))
        plain, attached = times["plain_rows"], times["attached_rows"]
        print("%-42s %12.2f %14s %10.2f  %+.1f %%" % (
            what, plain, "%.2f" % times["other_rows"] if "other_rows" in times else "", attached,
            100 * (attached / plain - 1)), flush=True)


def backfill(backend, pictures):
    copies = max(2, (80 + len(pictures) - 1) // len(pictures))
    rows, batch = copies * len(pictures), 10
    runs = max(3, RUNS // 2)
    heading("backfill: %d rows, batches of %d, pictures a second, medians of %d" % (rows, batch, runs))

    def fresh():
        execute(backend, "DROP TABLE IF EXISTS album", "CREATE TABLE album (id int PRIMARY KEY, data bytea)",
                "ALTER TABLE album ALTER data SET STORAGE EXTERNAL",
                "INSERT INTO album SELECT row_number() OVER (ORDER BY n, name), data || '' FROM picture, generate_series(1, %d) n" % copies)

    def rate(statement, sessions):
        fresh()
        if sessions:
            execute(backend, "SELECT media_attach('album', 'data')")
        execute(backend, "CHECKPOINT")
        backends = [Backend() for _ in range(max(1, sessions))]
        failed = []

        def run(one):
            try:
                execute(one, statement)
            except psycopg2.Error as error:
                failed.append(error)

        for one in backends:
            # a codec, as every session has after its first picture
            execute(one, "SELECT media_compress(data, max_dimension => 16) FROM picture LIMIT 1")
        threads = [threading.Thread(target=run, args=(one,)) for one in backends]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = time.monotonic() - began
        for one in backends:
            one.connection.close()
        left = backend.ask("SELECT count(*) FROM album WHERE media_format(data) <> 'webp'")
        if failed or left:
            raise SystemExit("backfill: %d rows are left, %s" % (left, failed))
        return rows / spent

    call = "CALL media_backfill('album', 'data', %d)" % batch
    bare, one, two = by_turns([lambda: rate("CALL compress_rows()", 0), lambda: rate(call, 1), lambda: rate(call, 2)], runs)
    one_of_bare = 100 * statistics.median(a / b for a, b in zip(one, bare))
    two_of_one = statistics.median(a / b for a, b in zip(two, one))
    bare, one, two = map(statistics.median, (bare, one, two))
    print("a loop of UPDATE ... media_compress  %7.2f" % bare)
    print("media_backfill                       %7.2f  %.0f %% of that %s" % (one, one_of_bare, verdict(one_of_bare, 90, "%", True)))
    print("two sessions side by side            %7.2f  %.2f times one %s" % (two, two_of_one, verdict(two_of_one, 1.85, least=True)))


def serve(backend):
    heading("serve: the same answer out of 1 MB and out of 100 MB, us a call, medians of %d" % RUNS)
    sizes = {"small": 1000000, "large": 100000000}
    execute(backend, "CREATE TABLE served (name text PRIMARY KEY, data bytea)", "ALTER TABLE served ALTER data SET STORAGE EXTERNAL")
    tags = {}
    for name, size in sizes.items():
        backend.cursor.execute("INSERT INTO served SELECT %s, convert_to(repeat('x', %s), 'UTF8')", (name, size))
        tags[name] = backend.ask("SELECT value FROM served, LATERAL media_serve(data, '{\"range\": \"bytes=0-0\"}') s, "
                                 "jsonb_each_text(s.headers) h WHERE lower(h.key) = 'etag' AND name = %s", name)

    def query(what, name):
        request = {
            "304": "jsonb_build_object('if-none-match', %s)" % quote(tags[name]),
            "304, tag given": "'{\"if-none-match\": \"\\\"v1\\\"\"}', etag => '\"v1\"'",
            "64 kB": "'{\"range\": \"bytes=%d-%d\"}'" % (sizes[name] // 2, sizes[name] // 2 + 65535),
        }[what]
        return "media_serve(data, %s) FROM served WHERE name = '%s'" % (request, name)

    kinds = {"304": 304, "304, tag given": 304, "64 kB": 206}
    for what, wanted in kinds.items():
        for name in sizes:
            call, rest = query(what, name).split(" FROM ", 1)
            got = backend.ask("SELECT s.status FROM " + rest.replace(" WHERE", ", LATERAL %s s WHERE" % call.replace("%", "%%")))
            if got != wanted:
                raise SystemExit("serve: %s of the %s value gives %s" % (what, name, got))
    for what in kinds:
        large, small = by_turns([lambda n=n: backend.ask("SELECT time_query(%s, 500)", query(what, n)) for n in ("large", "small")])
        large, small = statistics.median(large), statistics.median(small)
        print("%-16s of 100 MB %8.1f, of 1 MB %8.1f: %.2f times %s" % (
            what, large, small, large / small, verdict(large / small, 1.2)), flush=True)

    # all there is to load is loaded by the small value; what is shared is not the backend's
    for what in kinds:
        one = Backend()
        one.ask("SELECT time_query(%s, 3)", query(what, "small"))
        before = {field: memory_kb(one.pid, field) for field in ("VmRSS", "RssAnon", "RssShmem")}
        with open("/proc/%d/clear_refs" % one.pid, "w") as f:
            f.write("5")
        one.ask("SELECT time_query(%s, 3)", query(what, "large"))
        after = {field: memory_kb(one.pid, field) for field in ("VmHWM", "RssAnon", "RssShmem")}
        peak = after["VmHWM"] - before["VmRSS"] - (after["RssShmem"] - before["RssShmem"])
        print("%-16s of 100 MB after 1 MB: %d kB more at the peak, %d kB more kept %s" % (
            what, peak, after["RssAnon"] - before["RssAnon"], verdict(peak, 1024, "kB")), flush=True)
        one.connection.close()


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def element(backend, pictures):
    heading("element: one of ten pictures, compressed, us a call, medians of %d" % RUNS)
    ten = (pictures * 10)[:10]
    execute(backend, "CREATE TABLE part (images bytea[])", "ALTER TABLE part ALTER images SET STORAGE EXTERNAL",
            "CREATE TABLE single (data bytea)", "ALTER TABLE single ALTER data SET STORAGE EXTERNAL")
    backend.cursor.execute("INSERT INTO part SELECT array_agg(media_compress(data) ORDER BY n) "
                           "FROM unnest(%s) WITH ORDINALITY t (name, n) JOIN picture USING (name)", (ten,))
    execute(backend, "INSERT INTO single SELECT images[10] FROM part")
    print("ten of %d bytes, the tenth of %d" % (backend.ask("SELECT sum(length(i)) FROM part, unnest(images) i"),
                                                backend.ask("SELECT length(data) FROM single")))
    # get_byte has all of its argument read
    queries = {
        "media_element(images, 10)": "get_byte(media_element(images, 10), 100) FROM part",
        "media_element(images, 1)": "get_byte(media_element(images, 1), 100) FROM part",
        "images[10]": "get_byte(images[10], 100) FROM part",
        "one that is alone": "get_byte(data, 100) FROM single",
        "media_count(images)": "media_count(images) FROM part",
        "cardinality(images)": "cardinality(images) FROM part",
    }
    results = by_turns([lambda q=q: backend.ask("SELECT time_query(%s, 500)", q) for q in queries.values()])
    times = dict(zip(queries, map(statistics.median, results)))
    for what, spent in times.items():
        print("%-28s %8.1f" % (what, spent))
    print("media_element takes %.2f times the subscript's time, %.2f times that of one alone; media_count %.2f times cardinality's" % (
        times["media_element(images, 10)"] / times["images[10]"],
        times["media_element(images, 10)"] / times["one that is alone"],
        times["media_count(images)"] / times["cardinality(images)"]))


def main():
    pictures = pictures_of(FOLDER)
    machine()
    backend = Backend()
    for name in pictures:
        with open(os.path.join(FOLDER, name), "rb") as f:
            backend.cursor.execute("INSERT INTO picture VALUES (%s, %s)", (name, psycopg2.Binary(f.read())))
    if "trigger" in SECTIONS:
        trigger(backend, pictures)
    if "update" in SECTIONS:
        update(backend)
    if "backfill" in SECTIONS:
        backfill(backend, pictures)
    if "serve" in SECTIONS:
        serve(backend)
    if "element" in SECTIONS:
        element(backend, pictures)


main()
