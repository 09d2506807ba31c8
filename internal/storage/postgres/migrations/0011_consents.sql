-- What owners allowed clients and are not asked for again while it stands (decision 0074).
CREATE TABLE consents (
    account_id   TEXT COLLATE "C" NOT NULL,
    client_id    TEXT COLLATE "C" NOT NULL,
    bap_id       TEXT COLLATE "C" NOT NULL,
    grant_id     TEXT COLLATE "C" NOT NULL, -- of the approval that gave it
    scope        TEXT   NOT NULL,
    resources    TEXT   NOT NULL, -- as those of a grant; empty: this server
    passkey      TEXT COLLATE "C" NOT NULL,
    registration BYTEA  NOT NULL,
    given_at     BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    PRIMARY KEY (account_id, client_id, bap_id)
);
CREATE INDEX consents_client ON consents (client_id);
CREATE INDEX consents_expiry ON consents (expires_at);
