-- What owners allowed clients and are not asked for again while it stands (decision 0074).
CREATE TABLE consents (
    account_id   TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    bap_id       TEXT    NOT NULL,
    grant_id     TEXT    NOT NULL, -- of the approval that gave it
    scope        TEXT    NOT NULL,
    resources    TEXT    NOT NULL, -- as those of a grant; empty: this server
    passkey      TEXT    NOT NULL,
    registration BLOB    NOT NULL,
    given_at     INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id, bap_id)
) WITHOUT ROWID;
CREATE INDEX consents_client ON consents (client_id);
CREATE INDEX consents_expiry ON consents (expires_at);
