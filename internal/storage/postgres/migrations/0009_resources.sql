-- The URIs of the resources that a client asks for access to (RFC 8707), with a space between; empty: this server.
ALTER TABLE device_requests ADD COLUMN resources TEXT NOT NULL DEFAULT '';
ALTER TABLE grants          ADD COLUMN resources TEXT NOT NULL DEFAULT '';
