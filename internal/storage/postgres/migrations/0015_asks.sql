-- What agents asked for on top, by the row of the request, which may be gone already; and what owners asked about requests.
CREATE TABLE asks (
    request    BIGINT PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL,
    line       TEXT COLLATE "C" NOT NULL, -- the topmost grant of who asks
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX asks_line ON asks (line);
CREATE INDEX asks_account ON asks (account_id);
CREATE INDEX asks_time ON asks (created_at);
CREATE TABLE questions (
    id          TEXT COLLATE "C" PRIMARY KEY,
    request_id  TEXT COLLATE "C" NOT NULL,
    question    TEXT   NOT NULL,
    asked_at    BIGINT NOT NULL,
    answer      TEXT   NOT NULL,
    answered_at BIGINT NOT NULL -- 0 until then
);
CREATE INDEX questions_request ON questions (request_id);
