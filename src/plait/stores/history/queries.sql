-- All statements over the tables of schema.sql, each after its name.

-- name: add_gateway
INSERT INTO gateways(lease, boot, began) VALUES(?, ?, ?)
ON CONFLICT DO UPDATE SET lease = excluded.lease RETURNING id;

-- name: touch_gateway
-- A commit that writes something and changes nothing: whether the disk is well again.
UPDATE gateways SET began = began WHERE id = (SELECT max(id) FROM gateways);

-- name: add_tool
INSERT INTO tools(name) VALUES(?) ON CONFLICT DO UPDATE SET name = excluded.name RETURNING id;

-- name: find_blob
SELECT id FROM blobs WHERE digest = ?;

-- name: add_blob
INSERT INTO blobs(digest, codec, size, bytes) VALUES(?, ?, ?, ?) RETURNING id;

-- name: find_catalog
SELECT id FROM catalogs WHERE digest = ?;

-- name: add_catalog
INSERT INTO catalogs(digest, codec, bytes) VALUES(?, ?, ?);

-- name: catalog
SELECT codec, bytes FROM catalogs WHERE digest = ?;

-- name: drop_catalogs
DELETE FROM catalogs WHERE NOT EXISTS (SELECT 1 FROM runs WHERE catalog_digest = digest);

-- name: begin
-- Some have ended by the time that they are written.
INSERT INTO runs(number, chain, step, id, gateway, kind, durable, principal, client, desk, name,
  document_digest, catalog_digest, document, began, deadline, has_values, taken_in, awaited,
  status, ended, record, calls, failed)
VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: next_run
SELECT ifnull(max(number), 0) + 1 FROM runs;

-- name: go_on
INSERT INTO runs(number, id, chain, step, gateway, kind, durable, principal, client, desk, name,
  document_digest, catalog_digest, document, status, began, deadline, has_values, taken_in,
  awaited, uncertain)
SELECT (SELECT max(number) + 1 FROM runs), :id, chain, step + 1, :gateway, :kind, :durable,
  :principal, :client, :desk, :name, :document_digest, :catalog_digest, :document, 'running',
  :began, :deadline, :has_values, :taken_in, :awaited, :uncertain
FROM runs WHERE number = :head RETURNING number;

-- name: head
-- The last run of the chain of a run, with its gateway.
SELECT r.number, r.id, r.chain, r.status, r.durable, r.lost, r.uncertain, r.has_values, r.taken_in,
  g.lease, g.boot
FROM runs r JOIN gateways g ON g.id = r.gateway
WHERE r.chain = (SELECT chain FROM runs WHERE id = ? AND gone = 0) ORDER BY r.step DESC LIMIT 1;

-- name: links
SELECT id FROM runs WHERE chain = (SELECT chain FROM runs WHERE id = ?) AND gone = 0 ORDER BY step;

-- name: root
SELECT id FROM runs WHERE chain = ? ORDER BY step LIMIT 1;

-- name: holder
-- The process in which a run goes on, as far as the file says.
SELECT r.number, g.lease FROM runs r JOIN gateways g ON g.id = r.gateway
WHERE r.id = ? AND r.gone = 0 AND r.status = 'running';

-- name: post
INSERT INTO posts(run, kind, principal, body) VALUES(?, ?, ?, ?);

-- name: has_posts
-- The table is empty but for moments, so this looks at one page.
SELECT EXISTS (SELECT 1 FROM posts p JOIN runs r ON r.number = p.run
  JOIN gateways g ON g.id = r.gateway WHERE g.lease = ?);

-- name: take_posts
DELETE FROM posts WHERE run IN (SELECT r.number FROM runs r JOIN gateways g ON g.id = r.gateway
  WHERE g.lease = ?)
RETURNING number, (SELECT id FROM runs r WHERE r.number = run), kind, principal, body;

-- name: drop_posts
-- Those to runs that have ended.
DELETE FROM posts WHERE run NOT IN (SELECT number FROM runs WHERE status = 'running');

-- name: last_number
SELECT max(
  ifnull((SELECT max(max(admitted, ifnull(ended, 0))) FROM attempts WHERE chain = :chain), 0),
  ifnull((SELECT max(number) FROM settled WHERE chain = :chain), 0),
  ifnull((SELECT max(number) FROM events WHERE chain = :chain), 0));

-- name: interrupt
UPDATE runs SET status = 'interrupted' WHERE number = ?;

-- name: lose
UPDATE runs SET lost = 1 WHERE number = ?;

-- name: lose_by_id
UPDATE runs SET lost = 1 WHERE id = ?;

-- name: intent
INSERT INTO attempts(chain, task, at, item, round, run, attempt, tool, effect, admitted,
  admitted_at, sent_at, arguments, arguments_blob, arguments_digest)
VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: outcome
-- The whole row: a read has no intent before it. Of other calls, all but the outcome is there.
INSERT INTO attempts(chain, task, at, item, round, run, attempt, tool, effect, admitted,
  admitted_at, sent_at, arguments, arguments_blob, arguments_digest,
  ended, ended_at, cached, output, output_blob, error, checksum)
VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET ended = excluded.ended, ended_at = excluded.ended_at,
  cached = excluded.cached, output = excluded.output, output_blob = excluded.output_blob,
  error = excluded.error, checksum = excluded.checksum;

-- name: settle
INSERT INTO settled(chain, task, run, number, at, status, error, output, output_blob)
VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET number = excluded.number, at = excluded.at, status = excluded.status,
  error = excluded.error, output = excluded.output, output_blob = excluded.output_blob;

-- name: happen
INSERT INTO events(chain, number, run, at, kind, key, detail) VALUES(?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: end
UPDATE runs SET status = ?, ended = began + ?, record = ?, calls = ?, failed = ? WHERE number = ?;

-- name: answer
UPDATE runs SET awaited = 0 WHERE number = ?;

-- name: answer_by_id
UPDATE runs SET awaited = 0 WHERE id = ?;

-- name: count
INSERT INTO statistics(tool, code, bucket, count, total_ms, min_ms, max_ms)
VALUES(?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count, total_ms = total_ms + excluded.total_ms,
  min_ms = min(min_ms, excluded.min_ms), max_ms = max(max_ms, excluded.max_ms);

-- name: running
-- The gateways whose runs have not ended, or have not been answered.
SELECT id, lease FROM gateways WHERE id IN (
  SELECT gateway FROM runs WHERE status = 'running'
  UNION SELECT gateway FROM runs WHERE awaited = 1);

-- name: first_awaited
-- Some stay for as long as they are kept: their clients have not come back.
SELECT min(number) FROM runs INDEXED BY runs_awaited
WHERE awaited = 1 AND (:since IS NULL OR began > :since);

-- name: first_open
-- The first runs that have not ended, by indexes of these alone.
SELECT min(number) FROM runs INDEXED BY runs_running WHERE status = 'running' UNION ALL
SELECT min(number) FROM runs INDEXED BY runs_interrupted WHERE status = 'interrupted';

-- name: runs
-- From the run :first on, the latest first: so few are looked at, however many there are.
WITH listed AS (
  SELECT r.number, r.id, r.kind,
    CASE WHEN r.status = 'running' AND r.gateway IN (SELECT value FROM json_each(:dead))
      THEN 'interrupted' ELSE r.status END AS status,
    r.began, r.ended, r.durable, r.principal, r.client, r.desk, r.name, r.document_digest,
    r.catalog_digest, r.deadline,
    CASE WHEN r.step > 1 THEN
      (SELECT p.id FROM runs p WHERE p.chain = r.chain AND p.step = r.step - 1)
    END AS resumed_from,
    r.calls, r.failed, r.lost, r.has_values, r.taken_in, r.chain, r.awaited, r.gateway
  FROM runs r WHERE r.gone = 0 AND r.number >= :first)
SELECT id, kind, status, began, ended, durable, principal, client, desk, name, document_digest,
  catalog_digest, deadline, resumed_from, calls, failed, lost, has_values, taken_in
FROM listed
WHERE (:principal IS NULL OR principal = :principal)
  AND (:kind IS NULL OR kind = :kind)
  AND (:status IS NULL OR status = :status)
  AND (NOT :failed OR status NOT IN ('success', 'running'))
  AND (:since IS NULL OR began > :since)
  AND (:digest IS NULL OR document_digest = :digest)
  AND (NOT :unanswered OR (
    awaited = 1 AND ended IS NOT NULL AND gateway IN (SELECT value FROM json_each(:dead))
    AND EXISTS (SELECT 1 FROM attempts a WHERE a.chain = listed.chain AND a.run = listed.number
      AND a.effect <> 'read' AND a.sent_at IS NOT NULL)))
  AND substr(id, 1, length(:prefix)) = :prefix
  AND (:tools IS NULL OR EXISTS (
    SELECT 1 FROM attempts a WHERE a.chain = listed.chain AND a.run = listed.number
      AND a.tool IN (SELECT value FROM json_each(:tools))))
ORDER BY number DESC LIMIT :limit;

-- name: run
SELECT r.id, r.kind,
  CASE WHEN r.status = 'running' AND r.gateway IN (SELECT value FROM json_each(:dead))
    THEN 'interrupted' ELSE r.status END,
  r.began, r.ended, r.durable, r.principal, r.client, r.desk, r.name, r.document_digest,
  r.catalog_digest, r.deadline,
  (SELECT p.id FROM runs p WHERE p.chain = r.chain AND p.step = r.step - 1),
  r.calls, r.failed, r.lost, r.has_values, r.taken_in,
  r.number, r.chain, r.document, r.record, r.uncertain
FROM runs r WHERE r.gone = 0 AND r.id = :id;

-- name: blob
SELECT codec, bytes FROM blobs WHERE id = ?;

-- name: tools
SELECT id, name FROM tools;

-- name: calls
-- The attempts of a chain, or of one of its runs; values above 256 bytes only if they are asked for.
SELECT r.id, a.task, a.at, a.item, a.round, a.attempt, t.name, a.effect, a.admitted,
  a.admitted_at, a.sent_at, a.ended, a.ended_at, a.cached,
  a.arguments, b.codec, CASE WHEN :values THEN b.bytes END, ifnull(b.digest, a.arguments_digest),
  a.output, o.codec, o.bytes, a.error, r.uncertain
FROM attempts a JOIN tools t ON t.id = a.tool JOIN runs r ON r.number = a.run
LEFT JOIN blobs b ON b.id = a.arguments_blob
LEFT JOIN blobs o ON :values AND o.id = a.output_blob
WHERE a.chain = :chain AND (:run IS NULL OR a.run = :run) ORDER BY a.run, a.admitted;

-- name: values
-- The values of the attempts of a run, as they stand in their rows and in blobs.
SELECT a.task, t.name, a.arguments, a.arguments_blob, a.output, a.output_blob, a.error, a.checksum,
  b.digest, b.codec, b.bytes, o.digest, o.codec, o.bytes
FROM attempts a JOIN tools t ON t.id = a.tool
LEFT JOIN blobs b ON b.id = a.arguments_blob LEFT JOIN blobs o ON o.id = a.output_blob
WHERE a.chain = :chain AND a.run = :run AND a.ended IS NOT NULL;

-- name: other_values
-- The other values of a run that are kept in blobs, each with what it is.
SELECT v.what, b.digest, b.codec, b.bytes FROM blobs b JOIN (
  SELECT 'its document' AS what, document AS blob FROM runs WHERE number = :run
  UNION ALL SELECT 'its record', record FROM runs WHERE number = :run
  UNION ALL SELECT 'the output of ' || task, output_blob FROM settled
    WHERE chain = :chain AND run = :run) v ON v.blob = b.id;

-- name: events
SELECT r.id, e.number, e.at, e.kind, e.key, e.detail
FROM events e JOIN runs r ON r.number = e.run
WHERE e.chain = :chain AND (:run IS NULL OR e.run = :run) ORDER BY e.number;

-- name: question
SELECT CASE kind WHEN 'asked' THEN detail END
FROM events WHERE chain = :chain AND run = :run AND kind IN ('asked', 'decided')
ORDER BY number DESC LIMIT 1;

-- name: settled
SELECT s.task, s.at, s.status, s.error, s.output, b.codec, b.bytes
FROM settled s LEFT JOIN blobs b ON b.id = s.output_blob
WHERE s.chain = :chain AND (:run IS NULL OR s.run = :run) ORDER BY s.run, s.number;

-- name: output
-- The output of a task as the last run up to one has it: as it settled, else that of its call.
SELECT output, codec, bytes FROM (
  SELECT s.run, 1 AS is_settled, s.number, s.output, b.codec, b.bytes
  FROM settled s LEFT JOIN blobs b ON b.id = s.output_blob
  WHERE s.chain = :chain AND s.run <= :run AND s.task = :task
  UNION ALL
  SELECT a.run, 0, a.ended, a.output, b.codec, b.bytes
  FROM attempts a LEFT JOIN blobs b ON b.id = a.output_blob
  WHERE a.chain = :chain AND a.run <= :run AND a.task = :task AND a.at = '' AND a.item = -1
    AND a.ended IS NOT NULL)
ORDER BY run DESC, is_settled DESC, number DESC LIMIT 1;

-- name: statistics
SELECT t.name, s.code, s.bucket, s.count, s.total_ms, s.min_ms, s.max_ms
FROM statistics s JOIN tools t ON t.id = s.tool ORDER BY t.name;

-- name: count_runs
SELECT kind, count(*) FROM runs WHERE gone = 0 GROUP BY kind;

-- name: oldest
-- The chains to delete next: one whose deletion was broken off, then the oldest.
SELECT chain, max(gone), max(ifnull(ended, began)) AS last FROM runs
GROUP BY chain ORDER BY max(gone) DESC, last LIMIT 200;

-- name: chain_end
SELECT r.kind, r.status, g.lease, (SELECT count(*) FROM runs WHERE chain = :chain)
FROM runs r JOIN gateways g ON g.id = r.gateway
WHERE r.chain = :chain ORDER BY r.step DESC LIMIT 1;

-- name: mark_gone
UPDATE runs SET gone = 1 WHERE chain = ?;

-- name: some_attempts
SELECT task, at, item, round, run, attempt, arguments_blob, output_blob FROM attempts
WHERE chain = ? ORDER BY task, at, item, round, run, attempt LIMIT 500;

-- name: delete_attempts
DELETE FROM attempts
WHERE chain = ? AND (task, at, item, round, run, attempt) <= (?, ?, ?, ?, ?, ?);

-- name: some_settled
SELECT task, run, output_blob FROM settled WHERE chain = ? ORDER BY task, run LIMIT 500;

-- name: delete_settled
DELETE FROM settled WHERE chain = ? AND (task, run) <= (?, ?);

-- name: some_events
SELECT number FROM events WHERE chain = ? ORDER BY number LIMIT 500;

-- name: delete_events
DELETE FROM events WHERE chain = ? AND number <= ?;

-- name: delete_runs
DELETE FROM runs WHERE chain = ? RETURNING document, record;

-- name: delete_blob
DELETE FROM blobs WHERE id = ?1
  AND NOT EXISTS (SELECT 1 FROM attempts WHERE output_blob = ?1)
  AND NOT EXISTS (SELECT 1 FROM attempts WHERE arguments_blob = ?1)
  AND NOT EXISTS (SELECT 1 FROM settled WHERE output_blob = ?1)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE document = ?1)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE record = ?1);

-- name: idle_gateways
SELECT id, lease FROM gateways WHERE id NOT IN (SELECT gateway FROM runs);

-- name: delete_gateway
DELETE FROM gateways WHERE id = ?;

-- name: audit_end
SELECT number, hash FROM audit_end;

-- name: audit_to_go_on_from
-- The end of the chain, as it is known, and the highest number that there is.
SELECT ifnull((SELECT max(number) FROM audit), 0), number, hash
FROM (SELECT 1) LEFT JOIN audit_end;

-- name: set_audit_end
INSERT INTO audit_end(id, number, hash) VALUES(1, ?, ?)
ON CONFLICT DO UPDATE SET number = excluded.number, hash = excluded.hash;

-- name: add_audit
INSERT INTO audit(number, line) VALUES(?, ?);

-- name: audit
SELECT number, line FROM audit ORDER BY number;

-- name: audit_after
SELECT number, line FROM audit WHERE number > ? ORDER BY number LIMIT 1;

-- name: may_delete_audit
UPDATE audit_end SET deleted = max(deleted, ?);

-- name: has_deletable_audit
SELECT 1 FROM audit WHERE number <= (SELECT deleted FROM audit_end) LIMIT 1;

-- name: delete_audit
DELETE FROM audit WHERE number IN (
  SELECT number FROM audit WHERE number <= (SELECT deleted FROM audit_end)
  ORDER BY number LIMIT 500);

-- name: audit_bytes
-- About the bytes of all rows, by the length of the last ones.
SELECT (SELECT max(number) - min(number) + 1 FROM audit) * (avg(length(line)) + 16)
FROM (SELECT line FROM audit ORDER BY number DESC LIMIT 200);
