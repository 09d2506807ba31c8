-- The life of signing keys. Those that there are sign already, and go on; a server notes their
-- public halves when it has opened them.
ALTER TABLE signing_keys ADD COLUMN public_key   BLOB    NOT NULL DEFAULT x'';
ALTER TABLE signing_keys ADD COLUMN signs_from   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN signs_until  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN leaves_at    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN withdrawn_at INTEGER NOT NULL DEFAULT 0;
UPDATE signing_keys SET signs_from = created_at;
