"""Pictures in PostgreSQL, behind FastAPI.  The database compresses what is uploaded and answers what is asked for.

    DATABASE_URL=postgresql:///shop python3 -m uvicorn app:app        (with the tables of ../shop.sql)
"""
import os
from contextlib import closing
from html import escape

import psycopg2
from fastapi import FastAPI, HTTPException, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from psycopg2.extras import Json

MOST_BYTES = 20_000_000
REFUSED = {"22P03": 422, "0A000": 415, "54000": 413}  # not a picture or damaged, not a format that is read, over a limit
UPLOAD = {
    "users": "UPDATE users SET profile_photo_data = %s WHERE id = %s RETURNING id",
    "organizations": "UPDATE organizations SET logo_data = %s WHERE id = %s RETURNING id",
    "parts": "UPDATE parts SET image_data = array_append(image_data, %s) WHERE id = %s RETURNING id"}
# no-cache: a browser asks each time whether the picture has changed, and mostly gets a 304
ANSWER = {
    "users": "SELECT r.* FROM users, media_serve(profile_photo_data, %(request)s, 'no-cache') r WHERE id = %(id)s",
    "organizations": "SELECT r.* FROM organizations, media_serve(logo_data, %(request)s, 'no-cache') r WHERE id = %(id)s",
    "parts": """SELECT r.* FROM parts, media_serve(media_element(image_data, %(index)s + 1), %(request)s, 'no-cache') r
        WHERE id = %(id)s"""}
app = FastAPI()


def query(statement, values=None):
    """The rows of a statement in a transaction of its own.  (A busy application keeps a pool of connections.)"""
    with closing(psycopg2.connect(os.environ.get("DATABASE_URL", ""))) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()


@app.exception_handler(psycopg2.Error)
def refuse(request: Request, error: psycopg2.Error):
    if error.pgcode not in REFUSED:
        raise error
    return JSONResponse({"detail": error.diag.message_primary}, REFUSED[error.pgcode])


@app.post("/images/{table}/{id}")
def upload(table: str, id: int, file: UploadFile):
    picture = file.file.read(MOST_BYTES + 1)
    if len(picture) > MOST_BYTES:
        raise HTTPException(413, f"more than {MOST_BYTES} bytes")
    if table not in UPLOAD or not query(UPLOAD[table], (picture, id)):
        raise HTTPException(404)
    return RedirectResponse("/", 303)


@app.api_route("/images/{table}/{id}", methods=["GET", "HEAD"])
def answer(request: Request, table: str, id: int, index: int = Query(0, ge=0, lt=2**31 - 1)):
    asked = {"id": id, "index": index, "request": Json({**request.headers, "method": request.method})}
    rows = table in ANSWER and query(ANSWER[table], asked)
    if not rows:
        raise HTTPException(404)
    status, headers, body = rows[0]
    return Response(bytes(body or b""), status, headers)


@app.get("/images/parts/{id}/count")
def count(id: int):
    rows = query("SELECT media_count(image_data) FROM parts WHERE id = %s", (id,))
    if not rows:
        raise HTTPException(404)
    return {"count": rows[0][0]}


@app.get("/", response_class=HTMLResponse)
def page():
    html = "<!doctype html><title>Shop</title><style>img { height: 160px }</style>"
    for path, name, pictures in query("SELECT path, name, pictures FROM shop ORDER BY path"):
        html += f"\n<h2>{escape(name)}</h2>" + "".join(f'\n<img src="/images/{path}?index={i}" alt="">' for i in range(pictures))
        html += f"""\n<form method="post" action="/images/{path}" enctype="multipart/form-data">
            <input type="file" name="file" required> <button>Upload</button></form>"""
    return html
