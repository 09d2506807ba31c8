-- Since when an identity has been in its account, if it was taken out and linked again: what
-- its key is told of begins then. And how long who acted had been there, by which events of ways stay.
ALTER TABLE identities ADD COLUMN since    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE events     ADD COLUMN standing BIGINT NOT NULL DEFAULT 0;

-- Identities that were taken out of an account.
CREATE TABLE departures (
    bap_id     TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    since      BIGINT NOT NULL,
    left_at    BIGINT NOT NULL,
    removed_by TEXT   NOT NULL,
    network    TEXT   NOT NULL,
    PRIMARY KEY (bap_id, account_id)
);
CREATE INDEX departures_account ON departures (account_id, since);
CREATE INDEX departures_time ON departures (left_at);
