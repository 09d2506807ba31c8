-- For whom a report counts: accounts cost nothing, so that those of one network are one.
ALTER TABLE reports ADD COLUMN reporter TEXT NOT NULL DEFAULT '';
