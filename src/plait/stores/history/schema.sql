-- history.db. Each step below is applied once, in order, and never edited after a release: a change
-- is a new step. Within a major version steps only add (a table, a column with a default, an
-- index), so that an older process goes on with a newer file: every statement names its columns.
-- user_version = 1000 * major + step.
--
-- A chain is a run and the runs that went on from it. Calls belong to the chain, so that nothing is
-- copied when a run is resumed, and what any run of it did or sent counts for all. UNIQUE(chain,
-- step) makes a chain a line: two who go on from it cannot both add the next run.
--
-- Times are in seconds: since 1970 in `gateways` and `runs`, elsewhere since the run began.

-- step 1
CREATE TABLE gateways(            -- one row a process that writes; it lives while its lease is locked
  id INTEGER PRIMARY KEY, lease TEXT NOT NULL UNIQUE, boot TEXT NOT NULL, began REAL NOT NULL
) STRICT;
CREATE TABLE blobs(               -- values above 256 bytes, once by digest, with the row that uses them
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, codec INTEGER NOT NULL,
  size INTEGER NOT NULL, bytes BLOB NOT NULL
) STRICT;
CREATE TABLE tools(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE runs(
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  chain INTEGER NOT NULL, step INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateways,
  kind TEXT NOT NULL, durable TEXT NOT NULL, principal TEXT NOT NULL, client TEXT,
  desk TEXT NOT NULL, name TEXT, document_digest TEXT NOT NULL, catalog_digest TEXT NOT NULL,
  document INTEGER NOT NULL REFERENCES blobs, record INTEGER REFERENCES blobs,
  status TEXT NOT NULL, began REAL NOT NULL, ended REAL, deadline REAL,
  calls INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
  lost INTEGER NOT NULL DEFAULT 0,      -- not all of it was written in time
  uncertain INTEGER NOT NULL DEFAULT 0, -- the machine had started anew within the chain
  has_values INTEGER NOT NULL,
  taken_in INTEGER NOT NULL,            -- it ran elsewhere: no run goes on from it here
  gone INTEGER NOT NULL DEFAULT 0,      -- it is being deleted
  UNIQUE(chain, step)
) STRICT;
CREATE INDEX runs_running ON runs(gateway) WHERE status = 'running';
CREATE INDEX runs_document ON runs(document);
CREATE INDEX runs_record ON runs(record) WHERE record IS NOT NULL;
CREATE TABLE attempts(            -- one row an attempt, clustered by chain
  chain INTEGER NOT NULL, task TEXT NOT NULL,
  at TEXT NOT NULL,                     -- the items of the groups around the task: '3,0'
  item INTEGER NOT NULL,                -- -1 for none
  round INTEGER NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL,
  tool INTEGER NOT NULL REFERENCES tools, effect TEXT NOT NULL,
  admitted INTEGER NOT NULL, admitted_at REAL NOT NULL, sent_at REAL,
  ended INTEGER, ended_at REAL,         -- NULL while it is in the air
  cached INTEGER NOT NULL DEFAULT 0,
  arguments TEXT, arguments_blob INTEGER REFERENCES blobs, -- small values stand in their row
  arguments_digest BLOB,                -- only where the arguments themselves are not kept
  output TEXT, output_blob INTEGER REFERENCES blobs, error TEXT,
  PRIMARY KEY(chain, task, at, item, round, run, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_output ON attempts(output_blob) WHERE output_blob IS NOT NULL;
CREATE INDEX attempts_arguments ON attempts(arguments_blob) WHERE arguments_blob IS NOT NULL;
CREATE TABLE settled(             -- tasks that ended otherwise than with the output of their one call
  chain INTEGER NOT NULL, task TEXT NOT NULL, run INTEGER NOT NULL, number INTEGER NOT NULL,
  at REAL NOT NULL, status TEXT NOT NULL, error TEXT,
  output TEXT, output_blob INTEGER REFERENCES blobs,
  PRIMARY KEY(chain, task, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX settled_output ON settled(output_blob) WHERE output_blob IS NOT NULL;
CREATE TABLE events(              -- events that are the end of no call
  chain INTEGER NOT NULL, number INTEGER NOT NULL, run INTEGER NOT NULL,
  at REAL NOT NULL, kind TEXT NOT NULL, key TEXT, detail TEXT NOT NULL,
  PRIMARY KEY(chain, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE statistics(          -- buckets of durations, which can be added up
  tool INTEGER NOT NULL REFERENCES tools, code TEXT NOT NULL, bucket INTEGER NOT NULL,
  count INTEGER NOT NULL, total_ms REAL NOT NULL, min_ms REAL NOT NULL, max_ms REAL NOT NULL,
  PRIMARY KEY(tool, code, bucket)
) STRICT, WITHOUT ROWID;

-- step 2
CREATE TABLE posts(               -- what processes ask of runs that go on in others, until it is taken
  number INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, kind TEXT NOT NULL,
  principal TEXT NOT NULL, body TEXT NOT NULL
) STRICT;

-- step 3
CREATE TABLE catalogs(            -- the definitions of the tools that runs call, once by digest
  id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, codec INTEGER NOT NULL, bytes BLOB NOT NULL
) STRICT;
ALTER TABLE attempts ADD COLUMN checksum INTEGER; -- of its values as they stand in their row

-- step 4
CREATE INDEX runs_interrupted ON runs(number) WHERE status = 'interrupted';

-- step 5
CREATE TABLE audit(               -- rows of core/audit.py, each with the hash of the one before
  number INTEGER PRIMARY KEY, line TEXT NOT NULL
) STRICT;
CREATE TABLE audit_end(           -- the last of them, so that it is known whether it is there
  id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, hash TEXT NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0    -- the last row that is to be deleted, or is
) STRICT;

-- step 6
ALTER TABLE runs ADD COLUMN awaited INTEGER NOT NULL DEFAULT 0; -- its answer is not known to have left
CREATE INDEX runs_awaited ON runs(gateway) WHERE awaited = 1;
