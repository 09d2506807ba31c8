-- The key that a device code or a refresh token is bound to (RFC 9449, RFC 7638); empty: to none.
ALTER TABLE device_requests ADD COLUMN thumbprint TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_tokens  ADD COLUMN thumbprint TEXT NOT NULL DEFAULT '';
