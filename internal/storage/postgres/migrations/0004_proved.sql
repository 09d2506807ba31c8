-- Whether a request's client proved that it is the one its id names.
ALTER TABLE device_requests ADD COLUMN client_proved BOOLEAN NOT NULL DEFAULT false;
