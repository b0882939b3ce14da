-- The page docs/sql.md as the catalogue tells it: what each role of deploy/postgres/roles.sql may
-- read and write, with the comments of the schema. Run with psql -At; each row is a line of the page.
--
-- The rule: nothing here knows a column or a right by name. Of tables, which a later version may change,
-- it tells what may be written, and the history.
SET search_path = '';
WITH roles (name, title, who) AS (VALUES
    ('tenantd_pipeline', 'For your pipeline', 'whoever inserts tenants and says what they should be'),
    ('tenantd_consumer', 'For your web app', 'whoever reads credentials'),
    ('tenantd_operator', 'For a person who looks', 'whoever looks after the fleet; it reads `tenantd.status` too')
), relations AS (
    SELECT r.name AS role, r.title, r.who, c.oid, c.relname, c.relkind,
           pg_catalog.obj_description(c.oid, 'pg_class') AS says,
           pg_catalog.has_table_privilege(r.name, c.oid, 'DELETE') AS may_delete
      FROM roles AS r
      JOIN pg_catalog.pg_class AS c
        ON c.relnamespace = 'tenantd'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v')
     WHERE pg_catalog.has_any_column_privilege(r.name, c.oid, 'SELECT, INSERT, UPDATE')
       AND (r.name <> 'tenantd_operator' OR c.relname = 'attempts')
), columns AS (
    SELECT l.role, l.oid, a.attnum, a.attname,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
           pg_catalog.concat_ws(', ',
               CASE WHEN pg_catalog.has_column_privilege(l.role, l.oid, a.attnum, 'SELECT') THEN 'read' END,
               CASE WHEN pg_catalog.has_column_privilege(l.role, l.oid, a.attnum, 'INSERT') THEN 'insert' END,
               CASE WHEN pg_catalog.has_column_privilege(l.role, l.oid, a.attnum, 'UPDATE') THEN 'update' END) AS may,
           pg_catalog.col_description(l.oid, a.attnum) AS says
      FROM relations AS l
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped
), functions AS (
    SELECT r.name AS role, p.oid, p.proname,
           pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments,
           pg_catalog.obj_description(p.oid, 'pg_proc') AS says
      FROM roles AS r
      JOIN pg_catalog.pg_proc AS p ON p.pronamespace = 'tenantd'::pg_catalog.regnamespace
     WHERE pg_catalog.has_function_privilege(r.name, p.oid, 'EXECUTE') AND r.name = 'tenantd_consumer'
), lines (role_at, relation_at, kind, at, line) AS (
    SELECT 0, '', 0, 0, E'# The SQL contract\n\nWhat each role of `deploy/postgres/roles.sql` may read and write, as the database''s own catalogue says it '
           '(`make book-pages`).\nHow it is used: [Onboard](how-to/onboard.md), [Rotate](how-to/rotate.md), [Remove](how-to/remove.md). The whole '
           'schema: [schema.sql](schema.sql).'
    UNION ALL
    SELECT (SELECT pg_catalog.array_position(ARRAY['tenantd_pipeline', 'tenantd_consumer', 'tenantd_operator'], r.name::text)), '', 0, 0, E'\n## ' || r.title || E'\n\nRole `' || r.name || '`: ' || r.who || '.'
      FROM roles AS r
    UNION ALL
    SELECT (SELECT pg_catalog.array_position(ARRAY['tenantd_pipeline', 'tenantd_consumer', 'tenantd_operator'], l.role::text)), l.relname, 1, 0,
           E'\n### `tenantd.' || l.relname || '`'|| E'\n\n' || COALESCE(l.says, '')
           || CASE WHEN l.may_delete THEN ' Its rows may be deleted once they are removed and were looked at again; all of its columns may be read, these may be written.' ELSE '' END
           || E'\n\n| column | type | may | meaning |\n|---|---|---|---|'
      FROM relations AS l
    UNION ALL
    SELECT (SELECT pg_catalog.array_position(ARRAY['tenantd_pipeline', 'tenantd_consumer', 'tenantd_operator'], c.role::text)), l.relname, 2, c.attnum,
           pg_catalog.format('| `%s` | %s | %s | %s |', c.attname, c.type, c.may, COALESCE(pg_catalog.replace(c.says, '|', '\|'), ''))
      FROM columns AS c JOIN relations AS l ON l.role = c.role AND l.oid = c.oid
     WHERE c.may <> '' AND (l.relkind = 'v' OR l.relname = 'attempts' OR c.may <> 'read')
    UNION ALL
    SELECT (SELECT pg_catalog.array_position(ARRAY['tenantd_pipeline', 'tenantd_consumer', 'tenantd_operator'], f.role::text)), '~' || f.proname, 3, 0,
           pg_catalog.format(E'\n### `tenantd.%s(%s)`\n\n%s', f.proname, f.arguments, COALESCE(f.says, ''))
      FROM functions AS f
)
SELECT line FROM lines ORDER BY role_at, relation_at, kind, at;
