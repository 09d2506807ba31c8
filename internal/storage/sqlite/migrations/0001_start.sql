CREATE TABLE clients (
    id       TEXT PRIMARY KEY,
    metadata TEXT NOT NULL -- JSON; nothing is looked up by its members
) WITHOUT ROWID;

-- Rows are only appended. Their random keys have no index here, because each
-- would scatter every group of rows over the file: index.go keeps it in memory,
-- for which no seq may be used twice.
CREATE TABLE device_requests (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL,
    device_code  BLOB    NOT NULL,
    user_code    BLOB    NOT NULL,
    client_id    TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    account_id   TEXT    NOT NULL,
    created_at   INTEGER NOT NULL, -- Unix milliseconds, as every time here; 0 is none
    expires_at   INTEGER NOT NULL,
    signed_only  INTEGER NOT NULL,
    match_number INTEGER NOT NULL,
    nonce        TEXT    NOT NULL,
    network      TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    device_name  TEXT    NOT NULL,
    platform     TEXT    NOT NULL
);
-- Nearly every row goes to its end, which keeps it cheap.
CREATE INDEX device_requests_expiry ON device_requests (expires_at);

CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    disabled   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE identities (
    bap_id     TEXT PRIMARY KEY,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    member_key TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    profile    TEXT    NOT NULL -- JSON
) WITHOUT ROWID;
CREATE INDEX identities_account ON identities (account_id, created_at);

CREATE TABLE sessions (
    token      BLOB PRIMARY KEY,
    id         TEXT    NOT NULL,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    bap_id     TEXT    NOT NULL,
    member_key TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE reviews (
    id         BLOB PRIMARY KEY,
    session    BLOB    NOT NULL,
    request_id TEXT    NOT NULL,
    user_code  TEXT    NOT NULL,
    facts      BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reviews_expiry ON reviews (expires_at);

CREATE TABLE grants (
    id           TEXT    NOT NULL,
    account_id   TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    bap_id       TEXT    NOT NULL,
    member_key   TEXT    NOT NULL,
    acr          TEXT    NOT NULL,
    nonce        TEXT    NOT NULL,
    auth_time    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    revoked_at   INTEGER NOT NULL,
    receipt      TEXT    NOT NULL, -- empty without a signature
    ended_at     INTEGER NOT NULL AS (CASE WHEN revoked_at > 0 THEN min(revoked_at, expires_at) ELSE expires_at END) VIRTUAL
);
CREATE UNIQUE INDEX grants_id ON grants (id);
CREATE INDEX grants_account ON grants (account_id, created_at);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_end ON grants (ended_at);

CREATE TABLE refresh_tokens (
    token      BLOB PRIMARY KEY,
    grant_id   TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    successor  BLOB,             -- the token that replaced it
    rotated_at INTEGER NOT NULL  -- 0 while it is the latest
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE signing_keys (
    id         TEXT PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE used_once (
    key        BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX used_once_expiry ON used_once (expires_at);

CREATE TABLE guesses (
    subject  TEXT    NOT NULL,
    opens_at INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (subject, opens_at)
) WITHOUT ROWID;
CREATE INDEX guesses_window ON guesses (opens_at);

CREATE TABLE pings (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
