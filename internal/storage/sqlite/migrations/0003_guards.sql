-- Who opened a device request, by the number of its row: those numbers only grow,
-- so rows go to the end, and none is used twice. They are deleted with the request.
CREATE TABLE device_openings (
    request INTEGER NOT NULL,
    kind    INTEGER NOT NULL, -- 1 is an account, 2 a browser
    opener  BLOB    NOT NULL,
    PRIMARY KEY (request, kind, opener)
) WITHOUT ROWID;

CREATE TABLE reports (
    subject     TEXT    NOT NULL,
    account_id  TEXT    NOT NULL,
    reported_at INTEGER NOT NULL,
    PRIMARY KEY (subject, account_id)
) WITHOUT ROWID;
CREATE INDEX reports_time ON reports (reported_at);

-- Of a session the newest few are kept.
CREATE INDEX reviews_session ON reviews (session, expires_at);
