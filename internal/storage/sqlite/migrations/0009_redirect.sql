-- Where a request leads back to that came by a browser, as JSON; empty for a device's.
ALTER TABLE device_requests ADD COLUMN redirect TEXT NOT NULL DEFAULT '';
