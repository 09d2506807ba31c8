-- What an account has too many of is found by these.
CREATE INDEX refresh_tokens_grant ON refresh_tokens (grant_id);
CREATE INDEX reports_account ON reports (account_id, reported_at);
