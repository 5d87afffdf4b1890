-- name: banners
-- The announcements that a member ($1) is shown: that run, have come to them, and are not dismissed. Who joined when it
-- was delivered already is shown it, too.
SELECT a.id, a.text, a.created_at, a.expires_at
FROM feed.member_cards m
JOIN websocket.announcements a ON websocket.is_addressed(a.university_id, a.department, m.university_id, m.department)
LEFT JOIN websocket.notification_settings s ON s.account_id = m.id
WHERE m.id = $1 AND ($2::uuid IS NULL OR a.id < $2) AND a.expires_at > now()
  AND (a.state = 'delivered' OR (a.state IN ('delivering', 'paused') AND m.id <= a.told_until))
  AND websocket.is_told(s.kinds, 'announcement')
  AND NOT EXISTS (SELECT FROM websocket.dismissed_announcements d
                  WHERE d.account_id = m.id AND d.announcement_id = a.id)
ORDER BY a.id DESC
OFFSET $3 LIMIT $4;

-- name: dismiss_announcement
-- Show a member ($1) an announcement ($2) no more, if it is one for them; whether that is new.
WITH shown AS (
    SELECT m.id AS account_id, a.id AS announcement_id
    FROM feed.member_cards m
    JOIN websocket.announcements a
        ON websocket.is_addressed(a.university_id, a.department, m.university_id, m.department)
    WHERE m.id = $1 AND a.id = $2 AND a.state <> 'withdrawn'
), dismissed AS (
    INSERT INTO websocket.dismissed_announcements (account_id, announcement_id)
    SELECT account_id, announcement_id FROM shown
    ON CONFLICT DO NOTHING
    RETURNING account_id
)
SELECT EXISTS (SELECT FROM dismissed) AS is_new FROM shown;

-- name: forget_dismissals
-- Forget who dismissed what is a banner no more.
DELETE FROM websocket.dismissed_announcements d
USING websocket.announcements a
WHERE a.id = d.announcement_id AND a.expires_at < now() - interval '1 day';

-- name: university_named
-- The university of a name.
SELECT id FROM auth.university_names WHERE lower(name) = lower($1) ORDER BY id LIMIT 1;

-- name: audience_size
-- How many members there are: all, of a university, or of a department.
SELECT count(*) FROM feed.member_cards m WHERE websocket.is_addressed($1, $2, m.university_id, m.department);

-- name: insert_announcement
-- An announcement by a member ($1) or an operator ($2), once for each key ($3).
INSERT INTO websocket.announcements
    (author_id, operator, idempotency_key, text, university_id, department, expires_at, audience)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (author_id, idempotency_key) DO NOTHING
RETURNING id;

-- name: announcement_by_key
-- What a member announced under a key.
SELECT id FROM websocket.announcements WHERE author_id = $1 AND idempotency_key = $2;

-- name: announcements
-- Announcements and how far they are, the latest first; $1: before this one.
SELECT a.id, a.text, u.name AS university, a.department, a.state, a.created_at, a.expires_at, a.audience, a.reached,
       a.advanced_at, m.username AS author, a.operator
FROM websocket.announcements a
LEFT JOIN auth.university_names u ON u.id = a.university_id
LEFT JOIN feed.member_cards m ON m.id = a.author_id
WHERE $1::uuid IS NULL OR a.id < $1
ORDER BY a.id DESC
OFFSET $2 LIMIT $3;

-- name: announcement
-- An announcement and how far it is.
SELECT a.id, a.text, u.name AS university, a.department, a.state, a.created_at, a.expires_at, a.audience, a.reached,
       a.advanced_at, m.username AS author, a.operator
FROM websocket.announcements a
LEFT JOIN auth.university_names u ON u.id = a.university_id
LEFT JOIN feed.member_cards m ON m.id = a.author_id
WHERE a.id = $1;

-- name: lock_announcement
-- Hold an announcement until the transaction ends: its delivery, and who changes what it is to be, wait for each other.
SELECT state, university_id, department, told_until, created_at, expires_at <= now() AS is_over
FROM websocket.announcements WHERE id = $1 FOR NO KEY UPDATE;

-- name: change_announcement
-- Let an announcement be delivered, paused, cancelled or withdrawn.
UPDATE websocket.announcements SET state = $2, advanced_at = clock_timestamp() WHERE id = $1;

-- name: plan_announcement
-- Let a job deliver or withdraw an announcement, unless one waits or runs.
INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'announce', jsonb_build_object('announcement_id', $1::uuid), $2
WHERE NOT EXISTS (SELECT FROM jobs.jobs WHERE kind = 'announce' AND state <> 'dead'
                                          AND payload ->> 'announcement_id' = $1::uuid::text);

-- name: next_recipients
-- The next members ($4) whom an announcement is for, by id, after one ($3).
SELECT m.id FROM feed.member_cards m
WHERE m.id > $3 AND websocket.is_addressed($1, $2, m.university_id, m.department)
ORDER BY m.id LIMIT $4;

-- name: advance_announcement
-- An announcement ($1) has come to the next members, of whom this ($2) is the last; how many ($3); its state ($4).
UPDATE websocket.announcements
SET told_until = coalesce($2, told_until), reached = reached + $3, state = $4, advanced_at = clock_timestamp()
WHERE id = $1;

-- name: told_of_announcement
-- Some ($2) of those who were told of an announcement. Index: notification_causes' primary key.
SELECT recipient_id AS id FROM websocket.notification_causes
WHERE subject_id = $1 AND kind = 'announcement' ORDER BY recipient_id LIMIT $2;
