-- Until when a client is let in again without asking, and for what it had asked then.
ALTER TABLE grants ADD COLUMN remembered_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN asked TEXT NOT NULL DEFAULT '';
