"""importing.py PROGRAM FOLDER: bin/mediastore-import, in the database "import", with the pictures of FOLDER."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2

from client import finish, point

program, data = sys.argv[1], Path(sys.argv[2]).resolve()
connection = psycopg2.connect("dbname=import")
connection.autocommit = True
cursor = connection.cursor()


def sql(statement, *values):
    cursor.execute(statement, values or None)
    return cursor.fetchall() if cursor.description else None


def run(*arguments):
    return subprocess.run([sys.executable, program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def expect(what, done, status, *said):
    """A point: the exit status, and what has to be in what was printed."""
    printed = done.stdout + done.stderr
    point(what, done.returncode == status and all(text in printed for text in said), f"{done.returncode}: {printed}")


def stored(table="photo"):
    return [key for key, in sql(f"SELECT id FROM {table} WHERE data IS NOT NULL ORDER BY id")]


with tempfile.TemporaryDirectory() as base:
    root = Path(base, "root")
    (root / "in").mkdir(parents=True)
    Path(base, "root-like").mkdir()
    for name in ("photo-orientation-6.jpg", "photo.webp", "logo-alpha.png", "orientation-3.jpg", "text.jpg", "truncated.jpg"):
        shutil.copy(data / name, root / "in" / name)
    for target, link in (("in/photo.webp", "inside.webp"), ("in", "folder"), (data / "photo.bmp", "outside.bmp"), (data, "away"),
                         ("../root-like/x.webp", "beside.webp"), ("nowhere", "dangling.webp"), ("loop", "loop"),
                         (root / "in/photo.webp", "absolute.webp"), ("../root/in/photo.webp", "return.webp"),
                         ("./../folder//photo.webp", "in/up.webp"), ("..", "in/back")):
        (root / link).symlink_to(target)
    shutil.copy(data / "photo.webp", Path(base, "root-like", "x.webp"))
    os.mkfifo(root / "pipe")
    with open(root / "large.webp", "wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)

    sql("""
        CREATE TABLE photo (id int PRIMARY KEY, path text, data bytea);
        INSERT INTO photo (id, path) VALUES
            (1, 'in/photo-orientation-6.jpg'), (2, '/in/photo.webp'), (3, '///in/logo-alpha.png'), (4, 'inside.webp'),
            (5, 'folder/orientation-3.jpg'), (6, NULL),
            (11, '../root-like/x.webp'), (12, 'in/../in/photo.webp'), (13, 'outside.bmp'), (14, 'away/photo.bmp'), (15, 'beside.webp'),
            (16, '/etc/hostname'), (17, 'missing.jpg'), (18, 'dangling.webp'), (19, 'loop'), (20, 'in'), (21, ''), (22, 'pipe'),
            (23, 'in/text.jpg'), (24, 'in/truncated.jpg'), (25, 'in/photo.webp/x'), (26, 'absolute.webp'), (27, 'return.webp'),
            (28, 'in/photo.webp/'), (29, repeat('x', 256)), (30, repeat('x/', 2100)), (31, '/'), (32, 'large.webp'),
            (33, './in/.//back/in/up.webp');
        INSERT INTO photo VALUES (7, 'in/photo.webp', 'there already')""")
    good = [1, 2, 3, 4, 5]
    call = ("dbname=import", "photo", "path", "data", root)

    expect("without media_attach: a warning, and nothing on a dry run", run("--dry-run", *call), 1, "see media_attach", "would be stored")
    point("the dry run stored nothing", stored() == [7], stored())
    sql("SELECT media_attach('photo', 'data')")
    done = run("--batch-size", 4, *call)
    point("with it there is no warning", "see media_attach" not in done.stderr, done.stderr)
    expect("files are stored, and others passed over", done, 1, "6 rows stored, 22 failed;")
    point("those that should", stored() == [*good, 7, 33], stored())
    point("compressed, and upright", sql("SELECT media_format(data), media_width(data), media_height(data) FROM photo WHERE id = 1")
          == [("webp", 1024, 576)], sql("SELECT media_info(data) FROM photo WHERE id = 1"))
    point("what was there is as it was", bytes(sql("SELECT data FROM photo WHERE id = 7")[0][0]) == b"there already")
    states = {11: "22023", 12: "22023", 13: "42501", 14: "42501", 15: "42501", 16: "58P01", 17: "58P01", 18: "58P01", 19: "42501",
              20: "42809", 21: "22023", 22: "42809", 23: "22P03", 24: "22P03", 25: "58P01", 26: "42501", 27: "42501", 28: "58P01",
              29: "22023", 30: "22023", 31: "22023", 32: "54000"}
    for key, sqlstate in states.items():
        point(f"row {key} is told with {sqlstate}", f"id={key}: {sqlstate}: " in done.stderr, done.stderr)
    # as the server's own import says, whose files these are, too
    Path(base).chmod(0o755)
    sql("CREATE TABLE copy (LIKE photo INCLUDING ALL); INSERT INTO copy (id, path) SELECT id, path FROM photo WHERE id <> 7;"
        "SELECT media_attach('copy', 'data')")
    sql("CALL media_import('copy', 'path', 'data', %s)", str(root))
    said = dict(sql("SELECT (row_key->>'id')::int, sqlstate FROM mediastore.failure WHERE relation = 'copy'::regclass"))
    point("as media_import tells it", said == states and stored("copy") == [*good, 33], (said, stored("copy")))
    sent = sum((root / name).stat().st_size for name in ("in/photo-orientation-6.jpg", "in/photo.webp", "in/logo-alpha.png",
                                                         "inside.webp", "folder/orientation-3.jpg", "in/photo.webp"))
    kept = sql("SELECT sum(octet_length(data)) FROM photo WHERE id = ANY (%s)", [*good, 33])[0][0]
    point("the bytes are added up", f"{sent:,} bytes sent, {kept:,} stored" in done.stdout, done.stdout)

    # Again, when some of the reasons are gone
    shutil.copy(data / "photo.bmp", root / "missing.jpg")
    expect("another call stores what now can be", run(*call), 1, "1 rows stored, 21 failed;")
    point("and only that", stored() == [*good, 7, 17, 33], stored())
    sql("UPDATE photo SET path = NULL WHERE data IS NULL")
    expect("with nothing left: exit status 0", run(*call), 0, "0 rows stored, 0 failed;")

    # Rows that somebody else holds
    sql("UPDATE photo SET path = 'in/photo.webp', data = NULL WHERE id <= 4")
    other = psycopg2.connect("dbname=import")
    other.cursor().execute("SELECT 1 FROM photo WHERE id = 2 FOR UPDATE")
    expect("a locked row is left alone", run(*call), 0, "3 rows stored, 0 failed, 1 left to others")
    other.close()
    expect("and is stored when it's free", run(*call), 0, "1 rows stored, 0 failed;")

    # A connection that is lost costs its batch
    sql("""
        UPDATE photo SET path = 'in/photo.webp', data = NULL WHERE id <= 5;
        CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
        CREATE TRIGGER lose BEFORE UPDATE ON photo FOR EACH ROW WHEN (NEW.id = 4) EXECUTE FUNCTION lose()""")
    expect("a lost connection is told", run("--batch-size", 2, *call), 1, "2 rows stored, 0 failed, 3 left", "call it again")
    sql("DROP TRIGGER lose ON photo")
    expect("and the next call goes on", run("--batch-size", 2, *call), 0, "3 rows stored, 0 failed;")

    # Arrays, names that have to be quoted, keys of several columns, no key
    sql("""
        CREATE SCHEMA "A b";
        CREATE TABLE "A b"."Part" (kind text, "No" numeric, "File paths" text[], "some ""data"" here" bytea[] DEFAULT '{}',
            PRIMARY KEY ("No", kind));
        INSERT INTO "A b"."Part" VALUES
            ('o''x', 1.50, '{in/photo.webp,NULL,/in/logo-alpha.png}', '{}'), ('%s', 2, '{in/photo.webp,missing.gif}', '{}'),
            ('c', 3, '{}', NULL), ('d', 4, NULL, NULL), ('e', 5, '{NULL}', '{}'), ('f', 5, '{in/photo.webp}', NULL),
            ('g', 10, '{in/photo.webp}', '{there}');
        SELECT media_attach('"A b"."Part"', 'some "data" here')""")
    part = ("dbname=import", '"A b"."Part"', "File paths", 'some "data" here', root)
    expect("arrays, row by row", run("--batch-size", 1, *part), 1, "3 rows stored, 1 failed;", "No=2, kind=%s: 58P01: ")
    point("a null stays null, and half a row is none", sql("""
        SELECT kind, array(SELECT media_width(d) FROM unnest("some ""data"" here") WITH ORDINALITY AS u (d, n) ORDER BY n)
        FROM "A b"."Part" WHERE cardinality("some ""data"" here") > 0 AND kind <> 'g' ORDER BY 1""")
          == [("e", [None]), ("f", [400]), ("o'x", [400, None, 300])], sql('SELECT * FROM "A b"."Part"'))
    sql("""
        CREATE TABLE keyless (id int, path varchar(100), data bytea);
        INSERT INTO keyless SELECT i, CASE i WHEN 30 THEN 'missing.gif' ELSE 'in/photo.webp' END FROM generate_series(1, 60) i;
        SELECT media_attach('keyless', 'data')""")
    keyless = ("dbname=import", "public.keyless", "path", "data", root)
    expect("without a key, by place", run("--batch-size", 7, *keyless), 1, "59 rows stored, 1 failed;", "ctid=(0,30): 58P01: ")
    point("each row once", len(stored("keyless")) == 59)
    sql("UPDATE keyless SET data = NULL, path = 'in/photo-orientation-6.jpg'")
    two = [subprocess.Popen([sys.executable, program, "--batch-size", "3", *map(str, keyless)], stdout=subprocess.PIPE, text=True)
           for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in two]
    numbers = [int(line.split(" rows stored, 0 failed")[0].split()[-1]) for line in said]
    point("two at once share the rows", len(stored("keyless")) == 60 and sum(numbers) == 60, said)

    # Columns of other types, a key that includes more, a table with children, and a row that may not be written
    sql("""
        CREATE DOMAIN place AS varchar(200);
        CREATE DOMAIN picture AS bytea;
        CREATE TABLE typed (id int, note text, path place, data picture, PRIMARY KEY (id) INCLUDE (note));
        CREATE TABLE child () INHERITS (typed);
        INSERT INTO typed (id, path) VALUES (1, 'in/photo.webp'), (2, 'in/photo.webp'), (3, 'in/photo.webp');
        INSERT INTO child (id, path) VALUES (1, 'in/photo-orientation-6.jpg');
        CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER never BEFORE UPDATE ON typed FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION never();
        CREATE TABLE matrix (id int PRIMARY KEY, path char(20)[], data bytea[]);
        INSERT INTO matrix VALUES (1, '{{in/photo.webp}}'), (2, '{in/photo.webp}')""")
    typed = ("dbname=import", "typed", "path", "data", root)
    expect("domains, a key that includes a null, a trigger that prevents a row", run("--batch-size", 1, *typed), 1,
           "2 rows stored, 1 failed;", "id=2: 55000: ")
    point("only the rows of the table itself", stored("ONLY typed") == [1, 3] and stored("child") == [], stored("typed"))
    expect("a path array of two dimensions", run("dbname=import", "matrix", "path", "data", root), 1, "1 rows stored, 1 failed;",
           "id=1: 2202E: ")

    # What cannot start
    for what, arguments in (("a table that is not there", ("dbname=import", "nothing", "path", "data", root)),
                            ("a column that is not there", ("dbname=import", "photo", "path", "Data", root)),
                            ("columns of other types", ("dbname=import", "photo", "path", "id", root)),
                            ("a view", ("dbname=import", "pg_catalog.pg_views", "viewname", "data", root)),
                            ("a folder that is not there", ("dbname=import", "photo", "path", "data", root / "none")),
                            ("a database that is not there", ("dbname=nothing", "photo", "path", "data", root)),
                            ("a batch of none", ("--batch-size", 0, *call)), ("an argument too few", call[:-1])):
        done = run(*arguments)
        point(f"{what}: exit status 2 and no traceback", done.returncode == 2 and done.stderr and "Traceback" not in done.stderr,
              f"{done.returncode}: {done.stderr}")
    expect("--help", run("--help"), 0, "usage:", "--dry-run", "--batch-size")
connection.close()
finish()
