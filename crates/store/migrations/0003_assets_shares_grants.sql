-- What lies in private libraries, who may see it, and what ended early. As in 0001: one text for SQLite
-- and Postgres, times in milliseconds since the Unix epoch, and never edited once released.

CREATE TABLE assets (
    id         TEXT   NOT NULL PRIMARY KEY,
    library    TEXT   NOT NULL,
    -- What it is found by when its library is scanned again.
    location   TEXT   NOT NULL,
    slug       TEXT   UNIQUE,
    -- Its name in lower case, for searching.
    folded     TEXT   NOT NULL,
    -- JSON, opaque to the store.
    definition TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    UNIQUE (library, location)
);

CREATE TABLE shares (
    -- The secret of the link. It is kept as it is, since its owner wants to copy it again.
    token      TEXT   NOT NULL PRIMARY KEY,
    asset      TEXT   NOT NULL,
    -- JSON, opaque to the store; a password is in it as argon2 hash.
    definition TEXT   NOT NULL,
    views      BIGINT NOT NULL,
    -- 0: as many as there are.
    max_views  BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX shares_of_asset ON shares (asset);

CREATE TABLE share_activity (
    share  TEXT   NOT NULL,
    at_ms  BIGINT NOT NULL,
    action TEXT   NOT NULL,
    viewer TEXT   NOT NULL
);
CREATE INDEX activity_of_share ON share_activity (share, at_ms);

-- Keys that sign, and the secret of the tokens of /stream/hls where none is configured.
CREATE TABLE secrets (
    purpose    TEXT   NOT NULL,
    id         BIGINT NOT NULL,
    secret     BYTEA  NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (purpose, id)
);

CREATE TABLE grant_sessions (
    id      TEXT   NOT NULL PRIMARY KEY,
    used_ms BIGINT NOT NULL,
    -- 1 for one that was ended.
    revoked BIGINT NOT NULL
);

-- Goes up when everything that hangs on the subject is revoked.
CREATE TABLE grant_epochs (
    subject    TEXT   NOT NULL PRIMARY KEY,
    epoch      BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);

-- Issuers' tokens that were exchanged, until they expire.
CREATE TABLE grant_exchanges (
    token    TEXT   NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL
);
