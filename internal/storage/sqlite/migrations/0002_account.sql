ALTER TABLE sessions ADD COLUMN method     TEXT NOT NULL DEFAULT 'bap';
ALTER TABLE sessions ADD COLUMN network    TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_account ON sessions (account_id, created_at);

ALTER TABLE grants ADD COLUMN network     TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN user_agent  TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN origin      TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN device_name TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN platform    TEXT NOT NULL DEFAULT '';

-- Appended by every approval, so that there is no index on the id, which is
-- random; nothing is looked up by it.
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL,
    account_id TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    bap_id     TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    grant_id   TEXT    NOT NULL,
    acr        TEXT    NOT NULL,
    network    TEXT    NOT NULL,
    user_agent TEXT    NOT NULL,
    subject    TEXT    NOT NULL
);
CREATE INDEX events_account ON events (account_id, at);
-- Each row goes to its end, which keeps it cheap.
CREATE INDEX events_time ON events (at);

CREATE TABLE passkeys (
    id           TEXT PRIMARY KEY,
    account_id   TEXT    NOT NULL REFERENCES accounts (id),
    bap_id       TEXT    NOT NULL,
    member_key   TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    sign_count   INTEGER NOT NULL,
    credential   BLOB    NOT NULL -- JSON
);
CREATE INDEX passkeys_account ON passkeys (account_id, created_at);

CREATE TABLE backups (
    bap_id     TEXT PRIMARY KEY REFERENCES identities (bap_id),
    account_id TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX backups_account ON backups (account_id, bap_id);
