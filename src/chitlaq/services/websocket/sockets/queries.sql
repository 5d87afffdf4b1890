-- name: ended_sessions
-- Sessions that ended since $1. Index: sessions_by_end.
SELECT id, ended_at FROM auth.ended_sessions WHERE ended_at >= $1;
