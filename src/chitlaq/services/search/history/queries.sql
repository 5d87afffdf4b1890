-- name: begin_keeping
-- Wait for those who delete searches, who wait for this transaction; returns the time.
SELECT clock_timestamp() FROM pg_advisory_xact_lock_shared(hashtextextended('search history', 0));

-- name: begin_forgetting
-- Wait for those who write searches. A statement of its own, so that the next one sees what they have written.
SELECT pg_advisory_xact_lock(hashtextextended('search history', 0));

-- name: note_forgetting
-- What $1 searched for until now, and what no process has written yet, is not kept.
INSERT INTO search.privacy (account_id, forgotten_at) VALUES ($1, clock_timestamp())
ON CONFLICT (account_id) DO UPDATE SET forgotten_at = excluded.forgotten_at;

-- name: keep_searches
-- What accounts $1 searched for ($2 folded, $3 as typed, $4 when), unless they do not want it to be kept, have deleted
-- searches since, or are gone. A text that was typed on within a minute replaces its beginning.
WITH kept AS (
    SELECT k.account_id, k.folded, k.text
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) k (account_id, folded, text, searched_at)
    WHERE EXISTS (SELECT FROM search.members m WHERE m.member_id = k.account_id)
      AND NOT EXISTS (SELECT FROM search.privacy p WHERE p.account_id = k.account_id
                      AND (NOT p.keeps_history OR p.forgotten_at >= k.searched_at))
),
replaced AS (
    DELETE FROM search.history h USING kept k
    WHERE h.account_id = k.account_id AND h.folded <> k.folded AND starts_with(k.folded, h.folded)
      AND h.searched_at > now() - interval '1 minute'
)
INSERT INTO search.history AS h (account_id, folded, text)
SELECT account_id, folded, text FROM kept
ON CONFLICT (account_id, folded) DO UPDATE SET text = excluded.text, id = uuidv7(), searched_at = now();

-- name: forget_old_searches
-- All but the latest $2 of accounts. Index: history_by_account.
DELETE FROM search.history h
USING unnest($1::uuid[]) a (account_id)
WHERE h.account_id = a.account_id
  AND h.id < (SELECT o.id FROM search.history o WHERE o.account_id = a.account_id ORDER BY o.id DESC OFFSET $2 LIMIT 1);

-- name: history
-- A page of what a member searched for, the latest first. Index: history_by_account.
SELECT h.id, h.text, h.searched_at
FROM search.history h
WHERE h.account_id = $1 AND ($2::uuid IS NULL OR h.id < $2)
ORDER BY h.id DESC
OFFSET $3 LIMIT $4;

-- name: forget_search
DELETE FROM search.history WHERE account_id = $1 AND id = $2;

-- name: forget_searches
DELETE FROM search.history WHERE account_id = $1;

-- name: history_settings
SELECT coalesce((SELECT p.keeps_history FROM search.privacy p WHERE p.account_id = $1), true);

-- name: set_history_settings
INSERT INTO search.privacy (account_id, keeps_history) VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE SET keeps_history = excluded.keeps_history;
