-- name: begin_notified (prepared)
-- Let these members be told something, if they were not before. An account that is gone is told nothing.
INSERT INTO websocket.notified_accounts (account_id)
SELECT m.id FROM feed.member_ids m
WHERE m.id = ANY ($1::uuid[])
  AND NOT EXISTS (SELECT FROM websocket.notified_accounts a WHERE a.account_id = m.id)
ORDER BY m.id
ON CONFLICT DO NOTHING;

-- name: lock_notified (prepared)
-- Lock what these members are told, in the order of their ids.
SELECT account_id FROM websocket.notified_accounts WHERE account_id = ANY ($1::uuid[])
ORDER BY account_id FOR NO KEY UPDATE;

-- name: causes (prepared)
-- Of these causes of feed-service's, by their place from 1, the ones that exist and that the recipient may see.
SELECT number, at, is_muted FROM feed.causes($1, $2, $3, $4);

-- name: lock_causes (prepared)
-- Look at causes after all who did it before have committed: else an older state might be stored after a newer one.
SELECT pg_advisory_xact_lock(hashtextextended('notification causes', 0));

-- name: addressed
-- Whom these posts answer, quote or mention, and whom it was told that they do.
SELECT member_id AS recipient_id, kind, post_id AS subject_id, author_id AS actor_id FROM feed.addressed($1)
UNION
SELECT recipient_id, kind, subject_id, actor_id FROM websocket.notification_causes
WHERE subject_id = ANY ($1::uuid[]) AND kind IN ('mention', 'reply', 'quote', 'poll_ended');

-- name: deleted_posts
-- Of these posts, the ones that are deleted.
SELECT id FROM feed.deleted_posts($1) AS id;

-- name: told_of_pairs
-- What the ones ($1) were told of the others ($2), and the others of them. Index: notification_causes_by_actor.
SELECT c.recipient_id, c.kind, c.subject_id, c.actor_id
FROM (SELECT * FROM unnest($1::uuid[], $2::uuid[]) UNION SELECT * FROM unnest($2::uuid[], $1::uuid[])) AS p (one, other)
JOIN websocket.notification_causes c ON c.actor_id = p.one AND c.recipient_id = p.other;

-- name: told_of_member
-- What was told of a member ($1), by recipient, in parts that end with all of a recipient. Index:
-- notification_causes_by_actor.
SELECT recipient_id, kind, subject_id, actor_id FROM websocket.notification_causes
WHERE actor_id = $1 AND ($2::uuid IS NULL OR recipient_id > $2)
ORDER BY recipient_id
FETCH FIRST $3 ROWS WITH TIES;

-- name: poll_audience
-- Who asked a post's poll and who voted in it, by id, in parts.
SELECT member_id AS recipient_id, 'poll_ended' AS kind, $1::uuid AS subject_id, author_id AS actor_id
FROM feed.poll_audience($1, $2, $3);

-- name: recipients_of_subjects
-- Who was told anything of these subjects. Index: notifications_by_subject.
SELECT DISTINCT recipient_id FROM websocket.notifications WHERE subject_id = ANY ($1::uuid[]);

-- name: untell
-- Delete all groups of these subjects, whose recipients are locked.
WITH ended AS (
    DELETE FROM websocket.notifications WHERE subject_id = ANY ($1::uuid[])
    RETURNING id, recipient_id, is_filtered, position
), counted AS (
    UPDATE websocket.notified_accounts n SET unseen = n.unseen - c.unseen, unread = n.unread - c.unread
    FROM (SELECT recipient_id, count(*) FILTER (WHERE position > o.seen_until AND NOT is_filtered) AS unseen,
                 count(*) FILTER (WHERE position > o.read_until AND NOT is_filtered) AS unread
          FROM ended JOIN websocket.notified_accounts o ON o.account_id = recipient_id GROUP BY 1) c
    WHERE n.account_id = c.recipient_id
    RETURNING n.account_id AS recipient_id, n.unseen, n.unread
)
SELECT recipient_id, id, NULL::timestamptz AS position, unseen, unread FROM ended JOIN counted USING (recipient_id);

-- name: tell (prepared)
-- Let what is stored be these causes: recipient $1, kind $2, subject $3, actor $4, since when $5 (null: it is gone),
-- whether it is told if it was not yet $6, text $7, whether it is kept apart $8. The caller has locked the recipients.
-- A new cause joins the group of its subject that is unread and younger than a day, or begins one. Groups that changed.
-- The arrays are subqueries to hide their lengths from the planner, which would otherwise replan for each batch.
WITH asked AS MATERIALIZED (
    SELECT a.recipient_id, a.kind, a.subject_id, a.actor_id, a.at, a.text, c.notification_id,
           a.is_told AND websocket.is_told(s.kinds, a.kind) AS is_told,
           a.is_filtered OR websocket.is_kept_apart(s.filter_strangers, a.recipient_id, a.kind, a.actor_id) AS is_filtered
    FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::uuid[]), (SELECT $4::uuid[]),
                (SELECT $5::timestamptz[]), (SELECT $6::boolean[]), (SELECT $7::text[]), (SELECT $8::boolean[]))
         AS a (recipient_id, kind, subject_id, actor_id, at, is_told, text, is_filtered)
    LEFT JOIN websocket.notification_causes c USING (subject_id, kind, actor_id, recipient_id)
    LEFT JOIN websocket.notification_settings s ON s.account_id = a.recipient_id
), gone AS (
    DELETE FROM websocket.notification_causes c USING asked a
    WHERE a.at IS NULL AND a.notification_id IS NOT NULL
      AND (c.subject_id, c.kind, c.actor_id, c.recipient_id) = (a.subject_id, a.kind, a.actor_id, a.recipient_id)
    RETURNING c.notification_id
), wanted AS MATERIALIZED (
    SELECT w.*, coalesce(g.id, uuidv7()) AS id, g.id IS NULL AS is_new,
           greatest(statement_timestamp(), n.latest)
           + row_number() OVER (PARTITION BY w.recipient_id ORDER BY w.at, w.kind, w.subject_id)
             * interval '1 microsecond' AS position
    FROM (SELECT recipient_id, kind, subject_id, is_filtered, count(*) AS added, max(text) AS text, max(at) AS at
          FROM asked WHERE at IS NOT NULL AND is_told AND notification_id IS NULL GROUP BY 1, 2, 3, 4) w
    JOIN websocket.notified_accounts n ON n.account_id = w.recipient_id
    LEFT JOIN LATERAL (
        SELECT o.id FROM websocket.notifications o
        WHERE o.subject_id = w.subject_id AND o.recipient_id = w.recipient_id AND o.kind = w.kind
          AND o.is_filtered = w.is_filtered AND o.position > n.read_until AND o.created_at > now() - interval '1 day'
        ORDER BY o.created_at DESC
        LIMIT 1
    ) g ON true
), changed AS MATERIALIZED (
    SELECT id, w.position, coalesce(w.added, 0) AS added, coalesce(w.added, 0) - coalesce(l.lost, 0) AS more
    FROM (SELECT * FROM wanted WHERE NOT is_new) w
    FULL JOIN (SELECT notification_id AS id, count(*) AS lost FROM gone GROUP BY 1) l USING (id)
), grown AS (
    UPDATE websocket.notifications n
    SET count = n.count + c.more, position = coalesce(c.position, n.position)
    FROM changed c WHERE n.id = c.id AND n.count + c.more > 0
    RETURNING n.id, n.recipient_id, n.is_filtered, n.position, old.position AS old_position, c.added > 0 AS is_told
), ended AS (
    DELETE FROM websocket.notifications n USING changed c WHERE n.id = c.id AND n.count + c.more = 0
    RETURNING n.id, n.recipient_id, n.is_filtered, n.position
), begun AS (
    INSERT INTO websocket.notifications (id, recipient_id, kind, subject_id, position, count, is_filtered, text)
    SELECT id, recipient_id, kind, subject_id, position, added, is_filtered, text FROM wanted WHERE is_new
), joined AS (
    INSERT INTO websocket.notification_causes (subject_id, kind, actor_id, recipient_id, notification_id, at)
    SELECT a.subject_id, a.kind, a.actor_id, a.recipient_id, w.id, a.at
    FROM asked a JOIN wanted w USING (recipient_id, kind, subject_id, is_filtered)
    WHERE a.at IS NOT NULL AND a.is_told AND a.notification_id IS NULL
), news AS (
    SELECT id, recipient_id, is_filtered, position, NULL::timestamptz AS old_position FROM wanted WHERE is_new
    UNION ALL SELECT id, recipient_id, is_filtered, position, old_position FROM grown WHERE is_told
    UNION ALL SELECT id, recipient_id, is_filtered, NULL, position FROM ended
), counted AS (
    UPDATE websocket.notified_accounts n
    SET latest = greatest(n.latest, c.latest), unseen = n.unseen + c.unseen, unread = n.unread + c.unread
    FROM (SELECT recipient_id, max(position) AS latest,
                 count(position) FILTER (WHERE NOT is_filtered)
                 - count(*) FILTER (WHERE old_position > o.seen_until AND NOT is_filtered) AS unseen,
                 count(position) FILTER (WHERE NOT is_filtered)
                 - count(*) FILTER (WHERE old_position > o.read_until AND NOT is_filtered) AS unread
          FROM news JOIN websocket.notified_accounts o ON o.account_id = recipient_id GROUP BY 1) c
    WHERE n.account_id = c.recipient_id
    RETURNING n.account_id AS recipient_id, n.unseen, n.unread
)
SELECT recipient_id, id, position, unseen, unread FROM news JOIN counted USING (recipient_id) ORDER BY position;

-- name: notifications
-- A member's ($1) groups before a position ($2), the latest first, with up to $5 of who did it last: those that are
-- kept apart ($6), or the others.
-- Index: notifications' unique index, notification_causes_by_group.
SELECT n.position, n.id, n.kind, n.subject_id, n.created_at, n.count, n.text, n.position <= a.seen_until AS is_seen,
       n.position <= a.read_until AS is_read,
       ARRAY(SELECT c.actor_id FROM websocket.notification_causes c WHERE c.notification_id = n.id
             ORDER BY c.at DESC, c.actor_id LIMIT $5) AS actors
FROM websocket.notifications n JOIN websocket.notified_accounts a ON a.account_id = n.recipient_id
WHERE n.recipient_id = $1 AND ($2::timestamptz IS NULL OR n.position < $2) AND n.is_filtered = $6
ORDER BY n.position DESC
OFFSET $3 LIMIT $4;

-- name: notifications_of
-- These groups ($2) of members ($1), as in a list.
SELECT n.position, n.id, n.kind, n.subject_id, n.created_at, n.count, n.text, n.position <= a.seen_until AS is_seen,
       n.position <= a.read_until AS is_read,
       ARRAY(SELECT c.actor_id FROM websocket.notification_causes c WHERE c.notification_id = n.id
             ORDER BY c.at DESC, c.actor_id LIMIT $3) AS actors
FROM websocket.notifications n JOIN websocket.notified_accounts a ON a.account_id = n.recipient_id
WHERE n.recipient_id = $1 AND n.id = ANY ($2::uuid[])
ORDER BY n.position;

-- name: reading
-- How far a member has seen and read (null: nothing), and how many groups are newer.
SELECT nullif(seen_until, '-infinity') AS seen_until, nullif(read_until, '-infinity') AS read_until, unseen, unread
FROM websocket.notified_accounts WHERE account_id = $1;

-- name: excerpts (prepared)
-- Of these posts, those that a viewer may read.
SELECT id, username, display_name, avatar_url, text, content_warning, visibility, reply_to, quote_of, created_at,
       edited_at
FROM feed.excerpts($1, $2);

-- name: cards_of (prepared)
-- Of these members, those whom a viewer may see.
SELECT id, username, display_name, department, university, avatar_url FROM feed.cards_of($1, $2);

-- name: position_of
-- Where a group is now.
SELECT position FROM websocket.notifications WHERE recipient_id = $1 AND id = $2;

-- name: mark_notifications
-- Let a member, whose row is locked, have seen ($2) and read ($3) all up to these positions, and never less than before;
-- null: as before. Positions end with the last one given. How far it is now, and whether that has changed.
WITH marks AS (
    SELECT a.account_id, a.seen_until, a.read_until,
           greatest(a.read_until, CASE WHEN $3::timestamptz IS NOT NULL THEN least($3::timestamptz, a.latest) END) AS new_read,
           greatest(a.seen_until, CASE WHEN $2::timestamptz IS NOT NULL THEN least($2::timestamptz, a.latest) END) AS new_seen
    FROM websocket.notified_accounts a WHERE a.account_id = $1
)
UPDATE websocket.notified_accounts a
SET seen_until = greatest(m.new_seen, m.new_read), read_until = m.new_read,
    unseen = (SELECT count(*) FROM websocket.notifications n
              WHERE n.recipient_id = $1 AND n.position > greatest(m.new_seen, m.new_read) AND NOT n.is_filtered),
    unread = (SELECT count(*) FROM websocket.notifications n
              WHERE n.recipient_id = $1 AND n.position > m.new_read AND NOT n.is_filtered)
FROM marks m WHERE a.account_id = m.account_id
RETURNING nullif(a.seen_until, '-infinity') AS seen_until, nullif(a.read_until, '-infinity') AS read_until, a.unseen,
          a.unread, (a.seen_until, a.read_until) <> (m.seen_until, m.read_until) AS is_changed;
