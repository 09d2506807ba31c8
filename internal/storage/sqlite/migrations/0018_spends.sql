-- What agents spent and counted, and what of each limit of a grant it leaves used. Both go some time after their grant.
CREATE TABLE spends (
    id         TEXT    NOT NULL,
    grant_id   TEXT    NOT NULL,
    caller     TEXT    NOT NULL, -- empty: the agent, else a client
    key        TEXT    NOT NULL, -- of idempotency
    body       BLOB    NOT NULL,
    currency   TEXT    NOT NULL,
    amount     INTEGER NOT NULL, -- in minor units
    settled    INTEGER NOT NULL,
    payee      TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    count      INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    permit     INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, -- settled in full from then on
    counters   TEXT    NOT NULL, -- what was counted where, as JSON
    until      INTEGER NOT NULL, -- when the grant ends
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX spends_key ON spends (grant_id, caller, key);
CREATE INDEX spends_until ON spends (until);
CREATE TABLE spend_counters (
    grant_id TEXT    NOT NULL,
    name     TEXT    NOT NULL, -- the limit and its window; empty: how many spends there are
    used     INTEGER NOT NULL,
    until    INTEGER NOT NULL, -- from when on nobody asks for it
    PRIMARY KEY (grant_id, name)
) WITHOUT ROWID;
CREATE INDEX spend_counters_until ON spend_counters (until);
