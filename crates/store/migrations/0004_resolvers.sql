-- What each resolver returned last and who used it, so that a restart asks for nothing twice and
-- lets no stream go.
CREATE TABLE resolvers (
    id         TEXT   NOT NULL PRIMARY KEY,
    -- JSON, opaque to the store. Its links carry credentials.
    memory     TEXT   NOT NULL,
    updated_ms BIGINT NOT NULL
);
