// What a pipeline in Node does: inserts text, arrays, JSON and instants without a cast, reads the
// whole row back, and is refused by name.
//
// The rule: every driver writes the same row by its own plain means, and sees the same.
//
// The environment's PGHOST, PGUSER and PGDATABASE say where.

import assert from 'node:assert/strict';
import pg from 'pg';
import postgres from 'postgres';

const written = (name) => ({
  external_id: name,
  host: `${name}.us.qlikcloud.com`,
  redirect_uris: ['https://a.example/cb', 'https://b.example/cb'],
  labels: { plan: 'gold', seats: [1, 2] },
  not_before: new Date('2030-01-02T03:04:05Z'),
  priority: 7,
});

function check(name, row, status) {
  for (const [column, value] of Object.entries(written(name))) assert.deepEqual(row[column], value, `${name}: ${column}`);
  assert.ok(row.tenant_id && row.phase === 'pending', name);
  assert.deepEqual({ ...status }, { reason: 'NotBefore', labels: written(name).labels }, name);
}

function refused(name, error, constraint) {
  assert.deepEqual([error.code, constraint, error.hint], ['23514', 'host_has_no_scheme', 'Leave out https://.'], name);
  console.log(`ok: ${name}`);
}

async function withNodePostgres() {
  const name = 'node-postgres';
  const row = written(name);
  const columns = Object.keys(row);
  const insert = `INSERT INTO tenantd.tenants (${columns}) VALUES (${columns.map((_, at) => `$${at + 1}`)}) RETURNING *`;
  const client = new pg.Client();
  await client.connect();
  const back = await client.query(insert, Object.values(row));
  const status = await client.query('SELECT reason, labels FROM tenantd.status WHERE external_id = $1', [name]);
  check(name, back.rows[0], status.rows[0]);
  const bad = client.query(insert, Object.values({ ...row, external_id: 'x', host: 'https://x.us.qlikcloud.com' }));
  await bad.then(() => assert.fail(name), (error) => refused(name, error, error.constraint));
  await client.end();
}

async function withPostgresJs() {
  const name = 'postgres-js';
  const row = written(name);
  const sql = postgres({ path: `${process.env.PGHOST}/.s.PGSQL.5432` });
  const [back] = await sql`INSERT INTO tenantd.tenants ${sql(row)} RETURNING *`;
  const [status] = await sql`SELECT reason, labels FROM tenantd.status WHERE external_id = ${name}`;
  check(name, back, status);
  const bad = sql`INSERT INTO tenantd.tenants ${sql({ ...row, external_id: 'x', host: 'https://x.us.qlikcloud.com' })}`;
  await bad.then(() => assert.fail(name), (error) => refused(name, error, error.constraint_name));
  await sql.end();
}

await withNodePostgres();
await withPostgresJs();
