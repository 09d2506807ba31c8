-- Since when an identity has been in its account, if it was taken out and linked again: what
-- its key is told of begins then. And how long who acted had been there, by which events of ways stay.
ALTER TABLE identities ADD COLUMN since    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events     ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;

-- Identities that were taken out of an account.
CREATE TABLE departures (
    bap_id     TEXT    NOT NULL,
    account_id TEXT    NOT NULL REFERENCES accounts (id),
    since      INTEGER NOT NULL,
    left_at    INTEGER NOT NULL,
    removed_by TEXT    NOT NULL,
    network    TEXT    NOT NULL,
    PRIMARY KEY (bap_id, account_id)
) WITHOUT ROWID;
CREATE INDEX departures_account ON departures (account_id, since);
CREATE INDEX departures_time ON departures (left_at);
