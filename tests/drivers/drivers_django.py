"""What a pipeline in Django does: inspects the table, keeps of the model what it writes, inserts
text, lists, JSON and instants, gets the primary key back, and is refused by name.

The rule: the model is what inspectdb says. A person mends what Django calls a guess or cannot
know, and leaves out what only the daemon may write.

The environment's PGHOST, PGUSER and PGDATABASE say where.
"""

import io
import os
import re
from datetime import datetime, timezone

import django
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, transaction

NAME = "django"
WRITTEN = {
    "external_id": NAME,
    "host": f"{NAME}.us.qlikcloud.com",
    "redirect_uris": ["https://a.example/cb", "https://b.example/cb"],
    "labels": {"plan": "gold", "seats": [1, 2]},
    "not_before": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "priority": 7,
}
MENDED = {
    # Django knows no type of an array: "This field type is a guess", it says.
    "redirect_uris": "ArrayField(models.TextField(), null=True)",
    # Nor that the database makes this one, which Django reads back with what it generates. Such a
    # field cannot be a model's key: the pipeline's own key is, which never changes either.
    "tenant_id": "models.GeneratedField("
    "expression=RandomUUID(), output_field=models.UUIDField(), db_persist=True)",
    "external_id": "models.TextField(primary_key=True)",
}


def inspected(table, kept, *options):
    """The model that inspectdb writes of a table, with these of its fields."""
    text = io.StringIO()
    call_command("inspectdb", table, *options, stdout=text)
    lines = []
    for line in text.getvalue().splitlines():
        field = re.match(r"    (\w+) = models\.", line)
        if field and field[1] in kept:
            lines.append(f"    {field[1]} = {MENDED[field[1]]}" if field[1] in MENDED else line)
        elif not field:
            lines.append(line)
    imports = (
        "from django.contrib.postgres.fields import ArrayField\n"
        "from django.contrib.postgres.functions import RandomUUID\n"
    )
    # A file of models has its application's name from the folder that it stands in.
    source = "\n".join(lines).replace("class Meta:", "class Meta:\n        app_label = 'pipeline'")
    module = {"__name__": "pipeline.models"}
    exec(imports + source, module)
    return module[table.capitalize()]


settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["PGHOST"],
            "NAME": os.environ["PGDATABASE"],
            "USER": os.environ["PGUSER"],
            "OPTIONS": {"options": "-c search_path=tenantd"},
        }
    },
    INSTALLED_APPS=["django.contrib.postgres"],
    USE_TZ=True,
)
django.setup()
Tenants = inspected("tenants", {"tenant_id", *WRITTEN})
Status = inspected("status", {"tenant_id", "external_id", "reason", "labels"}, "--include-views")

tenant = Tenants.objects.create(**WRITTEN)
assert tenant.tenant_id, "the primary key was not read back"
back = Tenants.objects.get(tenant_id=tenant.tenant_id)
for column, value in WRITTEN.items():
    assert getattr(back, column) == value, (column, getattr(back, column))
status = Status.objects.values_list("reason", "labels").get(tenant_id=tenant.tenant_id)
assert status == ("NotBefore", WRITTEN["labels"]), status

back.labels = {"plan": "silver"}
back.save()
assert Tenants.objects.get(pk=NAME).labels == {"plan": "silver"}

try:
    with transaction.atomic():
        Tenants.objects.create(**WRITTEN | {"external_id": "x", "host": "https://x.us.qlikcloud.com"})
except IntegrityError as error:
    said = error.__cause__.diag
    assert (said.constraint_name, said.message_hint) == ("host_has_no_scheme", "Leave out https://."), said
else:
    raise AssertionError("a host with a scheme was taken")
print(f"ok: {NAME}")
