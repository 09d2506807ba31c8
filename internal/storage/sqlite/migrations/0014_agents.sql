-- What an agent's request asks besides, as JSON; empty for what no agent asks.
ALTER TABLE device_requests ADD COLUMN asked TEXT NOT NULL DEFAULT '';
-- How present an owner was at the approval, and what agents' grants have besides: what kind they are (empty: no
-- agent's), whose key, the grant above and the topmost one, since when they are paused, and the rest as JSON.
ALTER TABLE grants ADD COLUMN presence  TEXT    NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN kind      TEXT    NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN agent_id  TEXT    NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN parent    TEXT    NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN line      TEXT    NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN paused_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN agent     TEXT    NOT NULL DEFAULT '';
CREATE INDEX grants_line ON grants (line) WHERE line <> '';
CREATE INDEX grants_agent ON grants (agent_id) WHERE agent_id <> '';
