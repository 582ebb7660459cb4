-- Posts that were submitted, until they are deleted.
CREATE TABLE imports (
    id         BIGINT NOT NULL PRIMARY KEY,
    -- Who the post is: SHA-256 of its message-ids, in hexadecimal.
    content    TEXT   NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    category   TEXT   NOT NULL,
    -- Empty for none.
    password   TEXT   NOT NULL,
    -- The document, gzipped.
    nzb        BYTEA  NOT NULL,
    state      TEXT   NOT NULL,
    -- JSON, opaque to the store: what is known of its files, or why it failed.
    detail     TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    -- When it was last submitted or read.
    used_ms    BIGINT NOT NULL,
    -- 1 for one that is kept whatever its age.
    kept       BIGINT NOT NULL
);

-- The number that the next import gets: numbers are never used again.
CREATE TABLE import_numbers (
    next BIGINT NOT NULL
);
INSERT INTO import_numbers (next) VALUES (1);
