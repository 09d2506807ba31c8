-- Kill switches that were used: each works once, at any time.
CREATE TABLE kills (
    bap_id TEXT    NOT NULL, -- the identity that signed
    nonce  TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (bap_id, nonce)
) WITHOUT ROWID;
