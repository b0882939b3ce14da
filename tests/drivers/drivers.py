"""What a pipeline in Python does: inserts text, lists, JSON and instants without a cast, reads the
whole row back, and is refused by name.

The rule: every driver writes the same row by its own plain means, and sees the same.

The environment's PGHOST, PGUSER and PGDATABASE say where.
"""

import asyncio
import json
import os
from datetime import datetime, timezone

import asyncpg
import psycopg
import sqlalchemy
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy import orm

URIS = ["https://a.example/cb", "https://b.example/cb"]
LABELS = {"plan": "gold", "seats": [1, 2]}
INSTANT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def written(name, labels=LABELS):
    return {
        "external_id": name,
        "host": f"{name}.us.qlikcloud.com",
        "redirect_uris": URIS,
        "labels": labels,
        "not_before": INSTANT,
        "priority": 7,
    }


def check(name, row, status):
    for column, value in written(name).items():
        assert row[column] == value, (name, column, row[column])
    assert row["tenant_id"] and row["phase"] == "pending", (name, row)
    assert tuple(status) == ("NotBefore", LABELS), (name, status)


def refused(name, constraint, hint):
    assert constraint == "host_has_no_scheme", (name, constraint)
    assert hint == "Leave out https://.", (name, hint)
    print(f"ok: {name}")


def with_psycopg():
    name = "psycopg"
    row = written(name, Jsonb(LABELS))
    insert = f"INSERT INTO tenantd.tenants ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) RETURNING *"
    with psycopg.connect(autocommit=True) as connection:
        back = connection.cursor(row_factory=dict_row).execute(insert, tuple(row.values())).fetchone()
        status = "SELECT reason, labels FROM tenantd.status WHERE external_id = %s"
        check(name, back, connection.execute(status, (name,)).fetchone())
        try:
            connection.execute(insert, ("x", "https://x.us.qlikcloud.com", *list(row.values())[2:]))
        except psycopg.errors.CheckViolation as error:
            refused(name, error.diag.constraint_name, error.diag.message_hint)
        else:
            raise AssertionError(name)


async def with_asyncpg():
    name = "asyncpg"
    row = written(name)
    numbers = ", ".join(f"${number + 1}" for number in range(len(row)))
    insert = f"INSERT INTO tenantd.tenants ({', '.join(row)}) VALUES ({numbers}) RETURNING *"
    connection = await asyncpg.connect()
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    back = await connection.fetchrow(insert, *row.values())
    status = "SELECT reason, labels FROM tenantd.status WHERE external_id = $1"
    check(name, back, await connection.fetchrow(status, name))
    try:
        await connection.execute(insert, "x", "https://x.us.qlikcloud.com", *list(row.values())[2:])
    except asyncpg.CheckViolationError as error:
        refused(name, error.constraint_name, error.hint)
    else:
        raise AssertionError(name)
    await connection.close()


def with_sqlalchemy():
    name = "sqlalchemy"
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", connect_args={"host": os.environ["PGHOST"]}, isolation_level="AUTOCOMMIT"
    )
    # As the database tells it, and nothing by hand.
    tenants = sqlalchemy.Table("tenants", sqlalchemy.MetaData(), schema="tenantd", autoload_with=engine)
    assert [column.name for column in tenants.primary_key] == ["tenant_id"]
    with engine.connect() as connection:
        key = connection.execute(tenants.insert().values(written(name))).inserted_primary_key
        row = connection.execute(tenants.select().where(tenants.c.tenant_id == key[0])).mappings().one()
        status = sqlalchemy.text("SELECT reason, labels FROM tenantd.status WHERE external_id = :name")
        check(name, row, connection.execute(status, {"name": name}).one())
        again = tenants.insert().values(written("sqlalchemy-2")).returning(tenants)
        assert connection.execute(again).mappings().one()["phase"] == "pending"
        try:
            connection.execute(tenants.insert().values(external_id="x", host="https://x.us.qlikcloud.com"))
        except sqlalchemy.exc.IntegrityError as error:
            refused(name, error.orig.diag.constraint_name, error.orig.diag.message_hint)
        else:
            raise AssertionError(name)


def with_a_mapped_class():
    name = "sqlalchemy-orm"
    engine = sqlalchemy.create_engine("postgresql+psycopg://", connect_args={"host": os.environ["PGHOST"]})

    class Base(orm.DeclarativeBase):
        pass

    class Tenant(Base):
        # A mapper writes NULL into what it knows and was not told: it knows the owner's columns.
        __table__ = sqlalchemy.Table(
            "tenants",
            Base.metadata,
            schema="tenantd",
            autoload_with=engine,
            include_columns=["tenant_id", "client_name", "profile", *written(name)],
        )

    with orm.Session(engine) as session:
        tenant = Tenant(**written(name))
        session.add(tenant)
        session.commit()
        assert tenant.tenant_id and tenant.redirect_uris == URIS and tenant.profile == "default", name
        tenant.labels = {"plan": "silver"}
        session.commit()
        assert session.get(Tenant, tenant.tenant_id).labels == {"plan": "silver"}
    print(f"ok: {name}")


with_psycopg()
asyncio.run(with_asyncpg())
with_sqlalchemy()
with_a_mapped_class()
