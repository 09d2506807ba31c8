-- What began a session and approved a grant, so that both end with it; and what an
-- owner is told of at the next sign-in.
ALTER TABLE sessions ADD COLUMN passkey    TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN news_since BIGINT           NOT NULL DEFAULT 0;
ALTER TABLE grants   ADD COLUMN passkey    TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE identities ADD COLUMN network      TEXT   NOT NULL DEFAULT '';
ALTER TABLE identities ADD COLUMN signed_in_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE passkeys   ADD COLUMN network      TEXT   NOT NULL DEFAULT '';
ALTER TABLE backups    ADD COLUMN network      TEXT   NOT NULL DEFAULT '';
