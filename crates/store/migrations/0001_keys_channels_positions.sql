-- Every statement runs unchanged on SQLite and on Postgres. Columns are BIGINT, TEXT and BYTEA only;
-- times are milliseconds since the Unix epoch.
--
-- A migration that has been released is never edited, not even its comments: its checksum is kept
-- beside the data. What must change goes into a new file.

-- API keys. The key itself is kept nowhere.
CREATE TABLE api_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    label      TEXT   NOT NULL,
    -- The first characters of a key that was made here; empty for an imported one, which may be short.
    prefix     TEXT   NOT NULL,
    -- 1 for a key that came from a file of the operator's, 0 for one that was made here.
    imported   BIGINT NOT NULL,
    -- SHA-256 of the download key, which is the lowercase hex SHA-256 of the API key. One hash thus
    -- verifies both, and whoever reads this table can present neither.
    hash       BYTEA  NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL
);

-- Channels that were added through the API; those of the configuration file are not here.
CREATE TABLE channels (
    id         TEXT   NOT NULL PRIMARY KEY,
    -- JSON, opaque to the store.
    definition TEXT   NOT NULL,
    updated_ms BIGINT NOT NULL
);

-- Where the numbers of each output track stand, so that they go on after a restart. No reference to
-- channels: those of the configuration file have positions too.
CREATE TABLE positions (
    channel           TEXT   NOT NULL,
    track             TEXT   NOT NULL,
    -- Unsigned 64-bit numbers are kept as the signed ones of the same bits: what an upstream claims may
    -- be as large, and nothing here compares them.
    next_msn          BIGINT NOT NULL,
    head_msn          BIGINT NOT NULL,
    dsn               BIGINT NOT NULL,
    discontinuity_msn BIGINT NOT NULL,
    -- A hash that tells sources apart, never a URL.
    source            TEXT   NOT NULL,
    source_msn        BIGINT NOT NULL,
    source_name       TEXT   NOT NULL,
    target_duration_s BIGINT NOT NULL,
    updated_ms        BIGINT NOT NULL,
    PRIMARY KEY (channel, track)
);
