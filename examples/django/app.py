"""Pictures in PostgreSQL, behind Django.  The database compresses what save() writes and answers what is asked for.

    DATABASE_URL=postgresql:///shop python3 app.py runserver        (with the tables of ../shop.sql)
"""
import json
import os
import sys

import django
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.management import execute_from_command_line
from django.db import DatabaseError, connection, models
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template import engines
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe
from psycopg2.extensions import parse_dsn

database = parse_dsn(os.environ.get("DATABASE_URL", ""))
settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY=os.urandom(32).hex(), ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": database,
                           "NAME": database.pop("dbname", os.environ.get("PGDATABASE", "postgres"))}},
    MIDDLEWARE=[])  # nobody signs in, so CSRF has nothing to protect; a project has its own
django.setup()


# The tables are ../shop.sql's; in a project, a migration has RunSQL("SELECT media_attach('users', 'profile_photo_data')").
class User(models.Model):
    name = models.TextField()
    profile_photo_data = models.BinaryField(null=True)

    class Meta:
        app_label, db_table, managed = "shop", "users", False


class Organization(models.Model):
    name = models.TextField()
    logo_data = models.BinaryField(null=True)

    class Meta:
        app_label, db_table, managed = "shop", "organizations", False


class Part(models.Model):
    name = models.TextField()
    image_data = ArrayField(models.BinaryField(), default=list)

    class Meta:
        app_label, db_table, managed = "shop", "parts", False


MOST_BYTES = 20_000_000
REFUSED = {"22P03": 422, "0A000": 415, "54000": 413}  # not a picture or damaged, not a format that is read, over a limit
COLUMN = {"users": (User, "profile_photo_data"), "organizations": (Organization, "logo_data"), "parts": (Part, "image_data")}
# no-cache: a browser asks each time whether the picture has changed, and mostly gets a 304
ANSWER = {
    "users": "SELECT r.* FROM users, media_serve(profile_photo_data, %(request)s, 'no-cache') r WHERE id = %(id)s",
    "organizations": "SELECT r.* FROM organizations, media_serve(logo_data, %(request)s, 'no-cache') r WHERE id = %(id)s",
    "parts": """SELECT r.* FROM parts, media_serve(media_element(image_data, %(index)s + 1), %(request)s, 'no-cache') r
        WHERE id = %(id)s"""}
PAGE = """<!doctype html><title>Shop</title><style>img { height: 160px }</style>
{% for path, name, pictures in rows %}<h2>{{ name }}</h2>
    {% for index in pictures %}<img src="/images/{{ path }}?index={{ index }}" alt=""> {% endfor %}
    <form method="post" action="/images/{{ path }}" enctype="multipart/form-data">
        <input type="file" name="file" required> <button>Upload</button></form>{% endfor %}"""


@require_http_methods(["GET", "HEAD", "POST"])
def picture(request, table, id):
    if table not in COLUMN:
        raise Http404
    return upload(request, table, id) if request.method == "POST" else answer(request, table, id)


def upload(request, table, id):
    model, column = COLUMN[table]
    row = get_object_or_404(model.objects.only("id"), id=id)
    file = request.FILES.get("file")
    if file is None or file.size > MOST_BYTES:
        return JsonResponse({"detail": f"a file of at most {MOST_BYTES} bytes is wanted"}, status=413 if file else 400)
    data = file.read()
    if model is Part:
        data = models.Func(column, models.Value(data, models.BinaryField()), function="array_append")
    setattr(row, column, data)
    try:
        row.save(update_fields=[column])
    except DatabaseError as error:
        refused = error.__cause__.diag
        if refused.sqlstate not in REFUSED:
            raise
        return JsonResponse({"detail": refused.message_primary}, status=REFUSED[refused.sqlstate])
    return HttpResponseRedirect("/")


def answer(request, table, id):
    index = request.GET.get("index", "0")
    if not index.isdecimal() or len(index) > 9:
        raise Http404
    asked = {name.lower(): value for name, value in request.headers.items()} | {"method": request.method}
    with connection.cursor() as cursor:
        cursor.execute(ANSWER[table], {"id": id, "index": int(index), "request": json.dumps(asked)})
        row = cursor.fetchone()
    if row is None:
        raise Http404
    status, headers, body = row
    response = HttpResponse(bytes(body or b""), status=status)
    del response["Content-Type"]  # Django's own
    for name, value in json.loads(headers).items():
        response[name] = value
    return response


@require_safe
def count(request, id):
    number = models.Func("image_data", function="media_count", output_field=models.IntegerField())
    return JsonResponse(get_object_or_404(Part.objects.values(count=number), id=id))


@require_safe
def page(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT path, name, pictures FROM shop ORDER BY path")
        rows = [(path, name, range(pictures)) for path, name, pictures in cursor]
    return HttpResponse(engines["django"].from_string(PAGE).render({"rows": rows}))


urlpatterns = [path("", page), path("images/parts/<int:id>/count", count), path("images/<table>/<int:id>", picture)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
