-- What agents asked for on top, by the row of the request, which may be gone already; and what owners asked about requests.
CREATE TABLE asks (
    request    INTEGER PRIMARY KEY,
    account_id TEXT    NOT NULL,
    line       TEXT    NOT NULL, -- the topmost grant of who asks
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX asks_line ON asks (line);
CREATE INDEX asks_account ON asks (account_id);
CREATE INDEX asks_time ON asks (created_at);
CREATE TABLE questions (
    id          TEXT    PRIMARY KEY,
    request_id  TEXT    NOT NULL,
    question    TEXT    NOT NULL,
    asked_at    INTEGER NOT NULL,
    answer      TEXT    NOT NULL,
    answered_at INTEGER NOT NULL -- 0 until then
) WITHOUT ROWID;
CREATE INDEX questions_request ON questions (request_id);
