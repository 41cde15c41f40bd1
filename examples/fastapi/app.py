"""Pictures in PostgreSQL, behind FastAPI.

The database compresses what is uploaded and answers what is asked for; this only carries bytes between the two.

    DATABASE_URL=postgresql:///shop python3 -m uvicorn app:app        (or PGHOST, PGDATABASE and so on)
"""
import os
from contextlib import closing, contextmanager
from html import escape

import psycopg2
from fastapi import FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from psycopg2.extras import Json

# The extension is there already: CREATE EXTENSION mediastore is its owner's.  The rest may run at every start.
SETUP = """
    CREATE TABLE IF NOT EXISTS users (id int PRIMARY KEY, name text, profile_photo_data bytea);
    CREATE TABLE IF NOT EXISTS organizations (id int PRIMARY KEY, name text, logo_data bytea);
    CREATE TABLE IF NOT EXISTS parts (id int PRIMARY KEY, name text, image_data bytea[]);
    SELECT media_attach('users', 'profile_photo_data', max_dimension => 512);
    SELECT media_attach('organizations', 'logo_data', max_dimension => 256);
    SELECT media_attach('parts', 'image_data');
    INSERT INTO users (id, name) VALUES (1, 'Ada'), (2, 'Charles') ON CONFLICT DO NOTHING;
    INSERT INTO organizations (id, name) VALUES (1, 'Analytical Engines') ON CONFLICT DO NOTHING;
    INSERT INTO parts (id, name) VALUES (1, 'Difference wheel') ON CONFLICT DO NOTHING;"""
STORE = {
    "users": "UPDATE users SET profile_photo_data = %s WHERE id = %s",
    "organizations": "UPDATE organizations SET logo_data = %s WHERE id = %s",
    "parts": "UPDATE parts SET image_data = array_append(image_data, %s) WHERE id = %s"}
PICTURE = {
    "users": "SELECT profile_photo_data FROM users WHERE id = %(id)s",
    "organizations": "SELECT logo_data FROM organizations WHERE id = %(id)s",
    "parts": "SELECT media_element(image_data, %(index)s + 1) FROM parts WHERE id = %(id)s"}
LIST = """
    SELECT 'users/' || id, name, (profile_photo_data IS NOT NULL)::int FROM users
    UNION ALL SELECT 'organizations/' || id, name, (logo_data IS NOT NULL)::int FROM organizations
    UNION ALL SELECT 'parts/' || id, name, coalesce(media_count(image_data), 0) FROM parts ORDER BY 1"""
# Not a picture or a damaged one, a format that is not read, more than the limits allow
REFUSED = {"22P03": 422, "0A000": 415, "54000": 413}


@contextmanager
def database():
    """A cursor in a transaction of its own: committed, unless something fails."""
    with closing(psycopg2.connect(os.environ.get("DATABASE_URL", ""))) as connection:
        with connection, connection.cursor() as cursor:
            yield cursor


with database() as cursor:
    cursor.execute(SETUP)
app = FastAPI()


@app.exception_handler(psycopg2.Error)
def refuse(request: Request, error: psycopg2.Error):
    if error.pgcode not in REFUSED:
        raise error
    return JSONResponse({"detail": error.diag.message_primary}, REFUSED[error.pgcode])


@app.post("/images/{table}/{id}")
def upload(table: str, id: int, file: UploadFile = File()):
    with database() as cursor:
        if table in STORE:
            cursor.execute(STORE[table], (file.file.read(), id))
        if cursor.rowcount != 1:
            raise HTTPException(404)
    return RedirectResponse("/", 303)


@app.api_route("/images/{table}/{id}", methods=["GET", "HEAD"])
def picture(request: Request, table: str, id: int, index: int = Query(0, ge=0, lt=2**31 - 1)):
    """ETag, 304, ranges and HEAD are the database's.  no-cache: ask again, since pictures change; mostly a 304."""
    if table not in PICTURE:
        raise HTTPException(404)
    asked = Json({**request.headers, "method": request.method})
    with database() as cursor:
        cursor.execute(f"SELECT status, headers, body FROM media_serve(({PICTURE[table]}), %(asked)s, 'no-cache')",
                       {"id": id, "index": index, "asked": asked})
        status, headers, body = cursor.fetchone()
    return Response(bytes(body or b""), status, headers)


@app.get("/images/parts/{id}/count")
def count(id: int):
    with database() as cursor:
        cursor.execute("SELECT coalesce(media_count(image_data), 0) FROM parts WHERE id = %s", (id,))
        for (pictures,) in cursor:
            return {"count": pictures}
    raise HTTPException(404)


@app.get("/", response_class=HTMLResponse)
def page():
    html = "<!doctype html><title>Shop</title><style>img { height: 160px }</style>"
    with database() as cursor:
        cursor.execute(LIST)
        for path, name, pictures in cursor:
            html += f"\n<h2>{escape(name)}</h2>"
            for index in range(pictures):
                html += f'\n<img src="/images/{path}?index={index}" alt="">'
            html += (f'\n<form method="post" action="/images/{path}" enctype="multipart/form-data">'
                     '<input type="file" name="file" required> <button>Upload</button></form>')
    return html
