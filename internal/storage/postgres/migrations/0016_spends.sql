-- What agents spent and counted, and what of each limit of a grant it leaves used. Both go some time after their grant.
CREATE TABLE spends (
    id         TEXT COLLATE "C" NOT NULL,
    grant_id   TEXT COLLATE "C" NOT NULL,
    caller     TEXT COLLATE "C" NOT NULL, -- empty: the agent, else a client
    key        TEXT COLLATE "C" NOT NULL, -- of idempotency
    body       BYTEA   NOT NULL,
    currency   TEXT   NOT NULL,
    amount     BIGINT NOT NULL, -- in minor units
    settled    BIGINT NOT NULL,
    payee      TEXT   NOT NULL,
    resource   TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    count      BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    permit     BOOLEAN NOT NULL,
    state      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- settled in full from then on
    counters   TEXT   NOT NULL, -- what was counted where, as JSON
    until      BIGINT NOT NULL, -- when the grant ends
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX spends_key ON spends (grant_id, caller, key);
CREATE INDEX spends_until ON spends (until);
CREATE TABLE spend_counters (
    grant_id TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL, -- the limit and its window; empty: how many spends there are
    used     BIGINT NOT NULL,
    until    BIGINT NOT NULL, -- from when on nobody asks for it
    PRIMARY KEY (grant_id, name)
);
CREATE INDEX spend_counters_until ON spend_counters (until);
