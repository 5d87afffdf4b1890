-- name: ended_sessions
-- Sessions that ended in the last seconds ($1). Index: sessions_by_end.
SELECT id FROM auth.ended_sessions WHERE ended_at >= now() - make_interval(secs => $1);
