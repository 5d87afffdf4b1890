-- name: export_conversations
-- Conversations that a member takes part in, has left or is invited to, and which of their messages they may read.
-- Index: participants_by_account.
SELECT c.id, c.kind,
       coalesce(c.name, (SELECT s.display_name FROM feed.member_cards s
                         WHERE s.id = CASE WHEN c.lower_id = $1 THEN c.upper_id ELSE c.lower_id END),
                'Deleted member') AS title,
       CASE WHEN p.state <> 'left'
            THEN (SELECT o.media_id FROM websocket.conversation_media o WHERE o.conversation_id = c.id) END AS picture_id,
       p.role, p.state, p.since, p.read_seq, p.muted_until, p.archived_at, p.pinned_at,
       ARRAY(SELECT s.username FROM websocket.participants o JOIN feed.member_cards s ON s.id = o.account_id
             WHERE o.conversation_id = c.id AND o.state = 'joined' AND p.state = 'joined'
             ORDER BY s.username) AS participants,
       p.after_seq AS readable_after,
       CASE WHEN p.state = 'invited' THEN p.after_seq ELSE least(p.until_seq, c.last_seq) END AS readable_to,
       CASE WHEN p.state = 'left' THEN p.since END AS left_at
FROM websocket.participants p
JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1
ORDER BY c.id;

-- name: export_edits
-- What a member's messages said before they were edited. Index: messages_by_sender.
SELECT e.conversation_id, e.seq, e.replaced_at, e.text
FROM websocket.messages m JOIN websocket.message_edits e USING (conversation_id, seq)
WHERE m.sender_id = $1 ORDER BY e.conversation_id, e.seq, e.replaced_at;

-- name: export_chat_privacy
-- What a member allows others to do and to see.
SELECT may_message, shares_read, shares_presence FROM websocket.privacy WHERE account_id = $1;

-- name: export_reactions
-- A member's reactions. Index: reactions_by_account.
SELECT conversation_id, seq, emoji, at FROM websocket.reactions WHERE account_id = $1 ORDER BY at;

-- name: export_notification_settings
-- Where and when a member is told. The token of digests' links is a secret, of use to nobody but the member.
SELECT kinds, quiet_from, quiet_until, time_zone, digest, filter_strangers, digested_at, digest_due_at
FROM websocket.notification_settings WHERE account_id = $1;

-- name: export_push_subscriptions
-- A member's devices that are pushed to, without their keys. Index: push_subscriptions_by_account.
SELECT session_id, endpoint, created_at, pushed_at, failures
FROM websocket.push_subscriptions WHERE account_id = $1 ORDER BY created_at;

-- name: erase_messages
-- Leave of some of a member's messages nothing but their numbers, for everybody: which, and whether it is one of the latest
-- of its conversation ($3), which others may have on their screens. Index: messages_by_sender.
WITH chosen AS MATERIALIZED (
    SELECT conversation_id, seq FROM websocket.messages
    WHERE sender_id = $1 AND event IS NULL ORDER BY conversation_id, seq LIMIT $2
    FOR UPDATE
), edits AS (
    DELETE FROM websocket.message_edits WHERE (conversation_id, seq) IN (SELECT conversation_id, seq FROM chosen)
), reactions AS (
    DELETE FROM websocket.reactions WHERE (conversation_id, seq) IN (SELECT conversation_id, seq FROM chosen)
), pictures AS (
    DELETE FROM websocket.message_media WHERE (conversation_id, seq) IN (SELECT conversation_id, seq FROM chosen)
), left_over AS (
    UPDATE websocket.messages m
    SET sender_id = NULL, client_id = 'erased', text = '', has_media = NULL, changed_at = clock_timestamp(),
        deleted_at = coalesce(m.deleted_at, clock_timestamp())
    FROM chosen WHERE (m.conversation_id, m.seq) = (chosen.conversation_id, chosen.seq)
)
SELECT o.conversation_id, o.seq, o.seq > c.last_seq - $3 AS is_late
FROM chosen o JOIN websocket.conversations c ON c.id = o.conversation_id;

-- name: export_notifications
-- What a member was told, oldest first; texts of posts are others'. Index: notifications' unique index.
SELECT n.kind, CASE WHEN n.subject_id <> $1 THEN n.subject_id END AS subject, n.count,
       coalesce(n.text, b.text) AS text, n.is_filtered,
       n.created_at, n.position AS updated_at,
       ARRAY(SELECT s.username FROM websocket.notification_causes c JOIN feed.member_cards s ON s.id = c.actor_id
             WHERE c.notification_id = n.id AND c.actor_id <> $1 ORDER BY c.at) AS actors
FROM websocket.notifications n
LEFT JOIN websocket.announcements b ON n.kind = 'announcement' AND b.id = n.subject_id
WHERE n.recipient_id = $1 ORDER BY n.position;

-- name: export_dismissals
-- Which announcements a member has dismissed.
SELECT announcement_id, at FROM websocket.dismissed_announcements WHERE account_id = $1 ORDER BY at;

-- name: export_announcements
-- What a member announced, as a moderator. Index: announcements' unique index.
SELECT id, text, department, created_at, expires_at, state, reached
FROM websocket.announcements WHERE author_id = $1 ORDER BY id;

-- name: export_reading
-- How far a member has seen and read what they were told.
SELECT nullif(seen_until, '-infinity') AS seen_until, nullif(read_until, '-infinity') AS read_until, unseen, unread
FROM websocket.notified_accounts WHERE account_id = $1;

-- name: erase_notifications
-- Delete some of what a member was told; how much.
WITH gone AS (
    DELETE FROM websocket.notifications
    WHERE id IN (SELECT id FROM websocket.notifications WHERE recipient_id = $1 LIMIT $2) RETURNING id
), forgotten AS (
    UPDATE websocket.notified_accounts SET unseen = 0, unread = 0 WHERE account_id = $1
)
SELECT count(*) FROM gone;
