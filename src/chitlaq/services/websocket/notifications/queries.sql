-- name: begin_notified (prepared)
-- Let these members be told something, if they were not before. An account that is gone is told nothing.
INSERT INTO websocket.notified_accounts (account_id)
SELECT m.id FROM feed.member_ids m
WHERE m.id = ANY ((SELECT $1::uuid[])::uuid[])
  AND NOT EXISTS (SELECT FROM websocket.notified_accounts a WHERE a.account_id = m.id)
ORDER BY m.id
ON CONFLICT DO NOTHING;

-- name: lock_notified (prepared)
-- Lock what these members are told, in the order of their ids.
SELECT account_id FROM websocket.notified_accounts WHERE account_id = ANY ((SELECT $1::uuid[])::uuid[])
ORDER BY account_id FOR NO KEY UPDATE;

-- name: causes (prepared)
-- Of these causes of feed-service's, by their place from 1, the ones that exist and that the recipient may see.
SELECT number, at, is_muted, false AS is_filtered FROM feed.causes($1, $2, $3, $4);

-- name: lock_causes (prepared)
-- Look at causes after all who did it before have committed: else an older state might be stored after a newer one.
SELECT pg_advisory_xact_lock(hashtextextended('notification causes', 0));

-- name: addressed
-- Whom these posts ($1) answer, quote or mention, and whom it was told that they do, or of their poll: for each post by
-- recipient, after one ($2; null: from the first), in parts ($3) that end with all of a recipient.
-- Index: notification_causes' primary key.
SELECT u.recipient_id, u.kind, u.subject_id, u.actor_id, p.after
FROM unnest($1::uuid[], $2::uuid[]) AS p (id, after)
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT member_id AS recipient_id, kind, post_id AS subject_id, author_id AS actor_id
        FROM feed.addressed(ARRAY[p.id])
        UNION
        SELECT recipient_id, kind, subject_id, actor_id FROM websocket.notification_causes
        WHERE subject_id = p.id AND kind IN ('mention', 'reply', 'quote', 'poll_ended')
    ) AS a
    WHERE p.after IS NULL OR a.recipient_id > p.after
    ORDER BY a.recipient_id
    FETCH FIRST $3 ROWS WITH TIES
) AS u
ORDER BY u.recipient_id;

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
-- Some ($2) of those who were told anything of these subjects ($1), by subject. Index: notifications_by_subject.
SELECT DISTINCT subject_id, recipient_id FROM websocket.notifications WHERE subject_id = ANY ($1::uuid[])
ORDER BY subject_id, recipient_id LIMIT $2;

-- name: untell
-- Delete the groups of these subjects ($1) and recipients ($2), who are locked.
WITH ended AS (
    DELETE FROM websocket.notifications WHERE subject_id = ANY ($1::uuid[]) AND recipient_id = ANY ($2::uuid[])
    RETURNING id, recipient_id, is_filtered, position
), counted AS (
    UPDATE websocket.notified_accounts n SET unseen = n.unseen - c.unseen, unread = n.unread - c.unread
    FROM (SELECT recipient_id, count(*) FILTER (WHERE position > o.seen_until AND NOT is_filtered) AS unseen,
                 count(*) FILTER (WHERE position > o.read_until AND NOT is_filtered) AS unread
          FROM ended JOIN websocket.notified_accounts o ON o.account_id = recipient_id GROUP BY 1) c
    WHERE n.account_id = c.recipient_id
    RETURNING n.account_id AS recipient_id, n.unseen, n.unread
)
SELECT recipient_id, id, NULL::timestamptz AS position, false AS is_shrunk, unseen, unread
FROM ended JOIN counted USING (recipient_id);

-- name: tell (prepared)
-- Let what is stored be these causes: recipient $1, kind $2, subject $3, actor $4, since when $5 (null: it is gone),
-- whether it is told if it was not yet $6, text $7, whether it is kept apart $8. The caller has locked the recipients.
-- A new cause joins the group of its subject that is unread and younger than a day, or begins one. Groups that changed.
-- The arrays are subqueries to hide their lengths from the planner, which would otherwise replan for each batch.
WITH asked AS MATERIALIZED (
    SELECT a.recipient_id, a.kind, a.subject_id, a.actor_id, a.at, a.text, c.notification_id,
           a.is_told AND websocket.is_told(s.kinds, a.kind) AS is_told,
           a.is_filtered OR (s.filter_strangers IS TRUE
                            AND websocket.is_of_stranger(a.recipient_id, a.kind, a.actor_id)) AS is_filtered
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
SELECT recipient_id, id, position, false AS is_shrunk, unseen, unread
FROM news JOIN counted USING (recipient_id)
UNION ALL
SELECT g.recipient_id, g.id, g.position, true, n.unseen, n.unread
FROM grown g JOIN websocket.notified_accounts n ON n.account_id = g.recipient_id
WHERE NOT g.is_told
ORDER BY is_shrunk, position;

-- name: notifications (prepared)
-- A member's ($1) groups before a position ($2), the latest first, with up to $5 of who did it last: those that are
-- kept apart ($6), or the others. And how many of all are unseen and unread.
-- Index: notifications' unique index, notification_causes_by_group.
SELECT n.position, n.id, n.kind, n.subject_id, n.created_at, n.count, coalesce(n.text, b.text) AS text, b.expires_at,
       n.position <= a.seen_until AS is_seen, n.position <= a.read_until AS is_read, a.unseen, a.unread,
       ARRAY(SELECT c.actor_id FROM websocket.notification_causes c WHERE c.notification_id = n.id
             ORDER BY c.at DESC, c.actor_id LIMIT $5) AS actors
FROM websocket.notifications n JOIN websocket.notified_accounts a ON a.account_id = n.recipient_id
LEFT JOIN websocket.announcements b
    ON n.kind = 'announcement' AND b.id = n.subject_id AND b.state NOT IN ('withdrawing', 'withdrawn')
WHERE n.recipient_id = $1 AND ($2::timestamptz IS NULL OR n.position < $2) AND n.is_filtered = $6
ORDER BY n.position DESC
OFFSET $3 LIMIT $4;

-- name: reading (prepared)
-- How far a member has seen and read (null: nothing), and how many groups are newer.
SELECT nullif(seen_until, '-infinity') AS seen_until, nullif(read_until, '-infinity') AS read_until, unseen, unread
FROM websocket.notified_accounts WHERE account_id = $1;

-- name: seen_of_subjects (prepared)
-- Of these posts ($2), conversations ($3) and members ($4), those that a member ($1) may see.
SELECT ARRAY(SELECT ROW (e.id, e.username, e.display_name, e.avatar_url, e.text, e.content_warning, e.visibility,
                         e.reply_to, e.quote_of, e.created_at, e.edited_at)
             FROM feed.excerpts($1, $2) e WHERE $2 <> '{}'::uuid[]) AS posts,
       ARRAY(SELECT ROW (c.id, c.kind, c.name)
             FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
             WHERE p.account_id = $1 AND c.id = ANY ((SELECT $3::uuid[])::uuid[]) AND p.state <> 'left') AS conversations,
       ARRAY(SELECT ROW (m.id, m.username, m.display_name, m.avatar_url, m.department, m.university)
             FROM feed.cards_of($1, $4) m WHERE $4 <> '{}'::uuid[]) AS members;

-- name: position_of
-- Where a group is now.
SELECT position FROM websocket.notifications WHERE recipient_id = $1 AND id = $2;

-- name: mark_notifications
-- Let a member, whose row is locked, have seen ($2) and read ($3) all up to these positions, and never less than before;
-- null: as before. Positions end with the last one given. How far it is now, and whether that has changed.
WITH marks AS (
    SELECT a.account_id, a.seen_until, a.read_until,
           greatest(a.read_until,
                    CASE WHEN $3::timestamptz IS NOT NULL THEN least($3::timestamptz, a.latest) END) AS new_read,
           greatest(a.seen_until,
                    CASE WHEN $2::timestamptz IS NOT NULL THEN least($2::timestamptz, a.latest) END) AS new_seen
    FROM websocket.notified_accounts a WHERE a.account_id = $1
)
UPDATE websocket.notified_accounts a
SET seen_until = greatest(m.new_seen, m.new_read), read_until = m.new_read, marked_at = clock_timestamp(),
    unseen = (SELECT count(*) FROM websocket.notifications n
              WHERE n.recipient_id = $1 AND n.position > greatest(m.new_seen, m.new_read) AND NOT n.is_filtered),
    unread = (SELECT count(*) FROM websocket.notifications n
              WHERE n.recipient_id = $1 AND n.position > m.new_read AND NOT n.is_filtered)
FROM marks m WHERE a.account_id = m.account_id
RETURNING nullif(a.seen_until, '-infinity') AS seen_until, nullif(a.read_until, '-infinity') AS read_until, a.unseen,
          a.unread, (a.seen_until, a.read_until) <> (m.seen_until, m.read_until) AS is_changed;

-- name: chat_candidates
-- Of conversations ($1), what may have to be told to as many members ($2; null: to all), and what was told.
WITH asked AS MATERIALIZED (
    SELECT DISTINCT a.* FROM unnest($1::uuid[], $2::uuid[]) AS a (conversation_id, member_id)
), senders AS MATERIALIZED (
    SELECT m.conversation_id, m.sender_id, max(m.seq) AS seq
    FROM websocket.conversations c
    JOIN websocket.messages m ON m.conversation_id = c.id AND m.seq > c.last_seq - 200
    WHERE c.id = ANY ($1::uuid[]) AND m.sender_id IS NOT NULL
    GROUP BY m.conversation_id, m.sender_id
)
SELECT n.recipient_id, n.kind, n.subject_id, n.actor_id
FROM asked a JOIN websocket.notification_causes n ON n.subject_id = a.conversation_id
WHERE n.kind IN ('message', 'group_invitation') AND (a.member_id IS NULL OR n.recipient_id = a.member_id)
UNION
SELECT p.account_id, 'group_invitation', c.id, coalesce(p.invited_by, c.created_by)
FROM asked a
JOIN websocket.conversations c ON c.id = a.conversation_id
JOIN websocket.participants p ON p.conversation_id = c.id AND (a.member_id IS NULL OR p.account_id = a.member_id)
WHERE p.state = 'invited' AND coalesce(p.invited_by, c.created_by) IS NOT NULL
UNION
SELECT p.account_id, 'message', p.conversation_id, s.sender_id
FROM asked a
JOIN websocket.participants p
    ON p.conversation_id = a.conversation_id AND (a.member_id IS NULL OR p.account_id = a.member_id)
JOIN senders s ON s.conversation_id = p.conversation_id AND s.sender_id <> p.account_id
WHERE p.state IN ('joined', 'requested') AND greatest(p.read_seq, p.after_seq) < s.seq;

-- name: chat_causes
-- Of these causes of chat's, by their place from 1, the ones that exist and that the recipient may see.
SELECT number, at, is_muted, is_filtered FROM websocket.causes($1, $2, $3, $4);

-- name: sweep_messages
-- Look again at conversations of which messages came of age since $1 and are unread by somebody who was not told of their
-- sender, or of which somebody has read what another process was just telling them. What committed late is looked for
-- 10 seconds back. Indexes: messages_by_time, participants_by_read.
WITH senders AS (
    SELECT m.conversation_id, m.sender_id, max(m.seq) AS seq
    FROM websocket.messages m
    WHERE m.sent_at > $1::timestamptz - websocket.message_age() - interval '10 seconds'
      AND m.sent_at <= now() - websocket.message_age()
      AND m.event IS NULL AND m.deleted_at IS NULL AND m.sender_id IS NOT NULL
    GROUP BY m.conversation_id, m.sender_id
), found AS (
    SELECT p.conversation_id, p.account_id
    FROM senders s
    JOIN websocket.participants p ON p.conversation_id = s.conversation_id AND p.account_id <> s.sender_id
        AND p.state IN ('joined', 'requested') AND greatest(p.read_seq, p.after_seq) < s.seq
        AND p.archived_at IS NULL AND (p.muted_until IS NULL OR p.muted_until <= now())
    JOIN feed.member_ids i ON i.id = p.account_id
    WHERE NOT EXISTS (SELECT FROM websocket.notification_causes n
                      WHERE n.subject_id = s.conversation_id AND n.kind = 'message' AND n.actor_id = s.sender_id
                        AND n.recipient_id = p.account_id)
      AND NOT EXISTS (SELECT FROM websocket.blocks_between(p.account_id, s.sender_id))
      AND NOT EXISTS (SELECT FROM feed.mute_pairs u WHERE u.member_id = p.account_id AND u.muted_id = s.sender_id)
    UNION ALL
    SELECT p.conversation_id, p.account_id
    FROM websocket.participants p
    WHERE p.read_at > $1::timestamptz - interval '10 seconds'
      AND EXISTS (SELECT FROM websocket.notifications n
                  WHERE n.recipient_id = p.account_id AND n.kind = 'message' AND n.subject_id = p.conversation_id)
)
INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'notify', jsonb_build_object('type', 'conversation', 'conversation_id', conversation_id,
                                    'member_ids', jsonb_agg(DISTINCT account_id)), $2
FROM found GROUP BY conversation_id;

-- name: plan_sweep
-- Plan a sweep in so many seconds ($1) for what came of age from $2 seconds before now on, unless there is one.
INSERT INTO jobs.jobs (kind, due_at, payload, request_id)
SELECT 'sweep_messages', now() + make_interval(secs => $1),
       jsonb_build_object('since', now() - make_interval(secs => $2)), $3
WHERE NOT EXISTS (SELECT FROM jobs.jobs WHERE kind = 'sweep_messages' AND state <> 'dead');

-- name: forget_shrunk
-- Forget which groups lost a cause more than a day ago.
DELETE FROM websocket.shrunk_notifications WHERE changed_at < now() - interval '1 day';

-- name: missed_notifications
-- Which of a member's ($1) groups have changed since a position ($2), or $3 seconds before it: what was committed
-- before it may have arrived after it. Those that were removed, too; at most $4.
SELECT n.id FROM websocket.notifications n
WHERE n.recipient_id = $1 AND n.position > $2::timestamptz - make_interval(secs => $3)
UNION
SELECT s.notification_id FROM websocket.shrunk_notifications s
WHERE s.recipient_id = $1 AND s.changed_at > $2::timestamptz - make_interval(secs => $3)
LIMIT $4;

-- name: notifications_named (prepared)
-- These groups ($2) of as many members ($1), as in a list.
SELECT n.recipient_id, n.is_filtered, n.position, n.id, n.kind, n.subject_id, n.created_at, n.count,
       coalesce(n.text, b.text) AS text, b.expires_at, n.position <= a.seen_until AS is_seen,
       n.position <= a.read_until AS is_read,
       ARRAY(SELECT c.actor_id FROM websocket.notification_causes c WHERE c.notification_id = n.id
             ORDER BY c.at DESC, c.actor_id LIMIT $3) AS actors
FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[])) AS o (recipient_id, id)
JOIN websocket.notifications n USING (recipient_id, id)
JOIN websocket.notified_accounts a ON a.account_id = n.recipient_id
LEFT JOIN websocket.announcements b
    ON n.kind = 'announcement' AND b.id = n.subject_id AND b.state NOT IN ('withdrawing', 'withdrawn')
ORDER BY n.position;

-- name: readings (prepared)
-- As `reading`, of several members.
SELECT account_id, nullif(seen_until, '-infinity'), nullif(read_until, '-infinity'), unseen, unread
FROM websocket.notified_accounts WHERE account_id = ANY ((SELECT $1::uuid[])::uuid[]);

-- name: latest_position
-- The last position that a member was given.
SELECT latest FROM websocket.notified_accounts WHERE account_id = $1;

-- name: replay_position
-- Where a group is now; of one that is gone, when it began.
SELECT coalesce((SELECT position FROM websocket.notifications WHERE recipient_id = $1 AND id = $2),
                -- An id that nobody gave may name a time that is in no calendar.
                least(coalesce(uuid_extract_timestamp($2), 'epoch'), now()));

-- name: recently_notified
-- Of these members ($1), whose notifications changed in the last seconds ($2), and which; null: how far they have read.
-- And which announcements they dismissed.
SELECT n.recipient_id, n.id, NULL::uuid AS announcement_id
FROM websocket.notified_accounts a JOIN websocket.notifications n ON n.recipient_id = a.account_id
WHERE a.account_id = ANY ($1::uuid[]) AND a.latest >= now() - make_interval(secs => $2)
  AND n.position >= now() - make_interval(secs => $2)
UNION
SELECT s.recipient_id, s.notification_id, NULL FROM websocket.shrunk_notifications s
WHERE s.changed_at >= now() - make_interval(secs => $2) AND s.recipient_id = ANY ($1::uuid[])
UNION ALL
SELECT a.account_id, NULL, NULL FROM websocket.notified_accounts a
WHERE a.account_id = ANY ($1::uuid[]) AND a.marked_at >= now() - make_interval(secs => $2)
UNION ALL
SELECT d.account_id, NULL, d.announcement_id FROM websocket.dismissed_announcements d
WHERE d.account_id = ANY ($1::uuid[]) AND d.at >= now() - make_interval(secs => $2);

-- name: missed_dismissals
-- Which announcements a member ($1) has dismissed since a position ($2), or $3 seconds before it.
SELECT announcement_id FROM websocket.dismissed_announcements
WHERE account_id = $1 AND at > $2::timestamptz - make_interval(secs => $3);
