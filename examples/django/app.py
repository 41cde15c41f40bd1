"""Pictures in PostgreSQL, behind Django: a project in one file.

The database compresses what save() writes and answers what is asked for; this only carries bytes between the two.

    DATABASE_URL=postgresql:///shop python3 app.py runserver        (or PGHOST, PGDATABASE and so on)
"""
import json
import os
import sys

import django
from django.conf import settings
from psycopg2.extensions import parse_dsn

options = parse_dsn(os.environ.get("DATABASE_URL", ""))
settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY=os.urandom(32).hex(), ALLOWED_HOSTS=["127.0.0.1", "localhost"], USE_TZ=True,
    MIDDLEWARE=[],  # nobody signs in, so CSRF has nothing to protect; a project has its own
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": options,
                           "NAME": options.pop("dbname", os.environ.get("PGDATABASE", "postgres"))}})
django.setup()

# What follows wants the settings.
from django.contrib.postgres.fields import ArrayField
from django.core.management import execute_from_command_line
from django.db import DatabaseError, connection, models
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template import engines
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe


class Named(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField()

    class Meta:
        abstract, app_label = True, "shop"


class User(Named):
    profile_photo_data = models.BinaryField(null=True)

    class Meta(Named.Meta):
        db_table = "users"


class Organization(Named):
    logo_data = models.BinaryField(null=True)

    class Meta(Named.Meta):
        db_table = "organizations"


class Part(Named):
    image_data = ArrayField(models.BinaryField(), null=True)

    class Meta(Named.Meta):
        db_table = "parts"


# of each table: its model, its column, how large its pictures are, what counts a row's, and what picks one
TABLES = {
    "users": (User, "profile_photo_data", 512, "num_nonnulls", "profile_photo_data"),
    "organizations": (Organization, "logo_data", 256, "num_nonnulls", "logo_data"),
    "parts": (Part, "image_data", 1024, "media_count", "media_element(image_data, %(index)s + 1)")}
# Not a picture or a damaged one, a format that is not read, more than the limits allow
REFUSED = {"22P03": 422, "0A000": 415, "54000": 413}
PAGE = engines["django"].from_string("""<!doctype html><title>Shop</title><style>img { height: 160px }</style>
{% for path, name, pictures in rows %}<h2>{{ name }}</h2>
    {% for index in pictures %}<img src="/images/{{ path }}?index={{ index }}" alt=""> {% endfor %}
    <form method="post" action="/images/{{ path }}" enctype="multipart/form-data">
        <input type="file" name="file" required> <button>Upload</button></form>{% endfor %}""")


def migrate():
    """In a project: migrations, with RunSQL("SELECT media_attach('users', 'profile_photo_data')")."""
    present = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for table, (model, column, dimension, *_) in TABLES.items():
            if table not in present:
                editor.create_model(model)
            editor.execute("SELECT media_attach(%s::regclass, %s, max_dimension => %s)", [table, column, dimension])
    for model, id, name in (User, 1, "Ada"), (User, 2, "Charles"), (Organization, 1, "Analytical Engines"), (Part, 1, "Wheel"):
        model.objects.get_or_create(id=id, defaults={"name": name})


@require_http_methods(["GET", "HEAD", "POST"])
def picture(request, table, id):
    if table not in TABLES:
        raise Http404
    return upload(request, table, id) if request.method == "POST" else serve(request, table, id)


def upload(request, table, id):
    model, column, *_ = TABLES[table]
    row = get_object_or_404(model.objects.only("id"), id=id)
    if "file" not in request.FILES:
        return JsonResponse({"detail": "a file is missing"}, status=400)
    picture = request.FILES["file"].read()
    if model is Part:
        picture = models.Func(column, models.Value(picture, models.BinaryField()), function="array_append")
    setattr(row, column, picture)
    try:
        row.save(update_fields=[column])  # the trigger compresses
    except DatabaseError as error:
        said = error.__cause__.diag
        if said.sqlstate not in REFUSED:
            raise
        return JsonResponse({"detail": said.message_primary}, status=REFUSED[said.sqlstate])
    return HttpResponseRedirect("/")


def serve(request, table, id):
    """ETag, 304, ranges and HEAD are the database's.  no-cache: ask again, since pictures change; mostly a 304."""
    index = request.GET.get("index", "0")
    if not (index.isdecimal() and int(index) < 2**31 - 1):
        raise Http404
    asked = {name.lower(): value for name, value in request.headers.items()}
    asked["method"] = request.method
    with connection.cursor() as cursor:
        cursor.execute(f"""SELECT status, headers, body
            FROM media_serve((SELECT {TABLES[table][-1]} FROM {table} WHERE id = %(id)s), %(asked)s, 'no-cache')""",
                       {"id": id, "index": int(index), "asked": json.dumps(asked)})
        status, headers, body = cursor.fetchone()
    response = HttpResponse(bytes(body or b""), status=status)
    del response["Content-Type"]
    for name, value in json.loads(headers).items():
        response[name] = value
    return response


def pictures_of(table):
    model, column, _, function, _ = TABLES[table]
    number = models.Func(column, function=function, output_field=models.IntegerField())
    return model.objects.annotate(pictures=Coalesce(number, 0)).order_by("id").defer(column)


@require_safe
def count(request, id):
    return JsonResponse({"count": get_object_or_404(pictures_of("parts"), id=id).pictures})


@require_safe
def page(request):
    rows = [(f"{table}/{row.id}", row.name, range(row.pictures)) for table in TABLES for row in pictures_of(table)]
    return HttpResponse(PAGE.render({"rows": rows}))


urlpatterns = [path("", page), path("images/parts/<int:id>/count", count), path("images/<table>/<int:id>", picture)]

if __name__ == "__main__":
    migrate()
    execute_from_command_line(sys.argv)
