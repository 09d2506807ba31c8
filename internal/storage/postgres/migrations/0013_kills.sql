-- Kill switches that were used: each works once, at any time.
CREATE TABLE kills (
    bap_id TEXT COLLATE "C" NOT NULL, -- the identity that signed
    nonce  TEXT COLLATE "C" NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (bap_id, nonce)
);
