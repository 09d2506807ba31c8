-- The request that added a passkey, as JSON; empty where it was not kept.
ALTER TABLE passkeys ADD COLUMN vouch TEXT NOT NULL DEFAULT '';
