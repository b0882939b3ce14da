-- The history is pruned by an index that knows the age of each row.
--
-- Why not the BRIN index: it knows the oldest row that a range of pages ever held. As soon as
-- new rows lie where pruned ones lay, every range looks old, and each batch reads the whole
-- history: that of a million tenants, each audited once a day, is some 15 GB. A B-tree on what
-- only ever grows is appended to at its end.
--
-- Locks: SHARE on tenantd.attempts while the index is built: no attempt is recorded meanwhile.
-- Safe while the previous version runs: yes.

CREATE INDEX attempts_by_start ON tenantd.attempts (started_at);
DROP INDEX tenantd.attempts_by_age;
