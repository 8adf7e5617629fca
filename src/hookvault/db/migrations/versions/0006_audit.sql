-- All events of whoever did them, newest first.
CREATE INDEX audit_events_actor ON audit_events (actor_id, id)
