-- name: store_messages (prepared)
-- Store messages that arrived in the same moment; the answers are in their order.
SELECT refused, is_new, id, seq, sent_at, version FROM websocket.store_messages($1, $2, $3, $4, $5);

-- name: people
-- Names and faces of these accounts.
SELECT id, username, display_name, avatar_url FROM feed.member_cards WHERE id = ANY ($1::uuid[]);

-- name: readers
-- Who may read which messages of a conversation, and the version of that.
SELECT c.participants_version AS version, p.account_id, p.after_seq, p.until_seq
FROM websocket.conversations c
LEFT JOIN websocket.participants p ON p.conversation_id = c.id AND p.state <> 'invited'
WHERE c.id = $1;

-- name: messages_between
-- The messages of a conversation after $2 and up to $3, in order.
SELECT m.conversation_id, m.id, m.seq, m.sender_id, m.client_id, m.text, m.sent_at, m.edited_at,
       m.deleted_at IS NOT NULL AS deleted, m.reply_to, s.username, s.display_name, s.avatar_url
FROM websocket.messages m LEFT JOIN feed.member_cards s ON s.id = m.sender_id
WHERE m.conversation_id = $1 AND m.seq > $2 AND m.seq <= $3
ORDER BY m.seq LIMIT $4;

-- name: first_lately
-- The lowest number of a message of the last seconds ($2), among the latest thousand of a conversation.
SELECT min(m.seq)
FROM websocket.messages m JOIN websocket.conversations c ON c.id = m.conversation_id
WHERE c.id = $1 AND m.seq > c.last_seq - 1000 AND m.sent_at > clock_timestamp() - make_interval(secs => $2);

-- name: recent_conversations
-- Conversations with messages since $1, with the lowest and the highest number of these.
SELECT conversation_id, min(seq) AS first_seq, max(seq) AS last_seq
FROM websocket.messages WHERE sent_at >= $1 GROUP BY conversation_id;

-- name: missed
-- What a member has missed: for each conversation ($2) after the number seen ($3), the last readable one.
SELECT a.conversation_id, greatest(a.seen, p.after_seq) AS seen, least(p.until_seq, c.last_seq) AS last_seq
FROM unnest($2::uuid[], $3::bigint[]) AS a (conversation_id, seen)
JOIN websocket.participants p ON p.conversation_id = a.conversation_id AND p.account_id = $1 AND p.state <> 'invited'
JOIN websocket.conversations c ON c.id = a.conversation_id
WHERE least(p.until_seq, c.last_seq) > greatest(a.seen, p.after_seq);

-- name: reachable
-- Of these usernames, who exists and neither blocks the member $1 nor is blocked by them.
SELECT s.id, s.username
FROM feed.member_cards s
WHERE s.username = ANY ($2::text[])
  AND NOT EXISTS (SELECT FROM feed.block_pairs b
                  WHERE (b.blocker_id, b.blocked_id) IN ((s.id, $1), ($1, s.id)));

-- name: insert_group
-- A new group.
INSERT INTO websocket.conversations (kind, name, created_by) VALUES ('group', $2, $1) RETURNING id;

-- name: begin_direct
-- The direct conversation of two accounts ($1 < $2), begun by $3 if there was none.
WITH begun AS (
    INSERT INTO websocket.conversations (kind, lower_id, upper_id, created_by) VALUES ('direct', $1, $2, $3)
    ON CONFLICT (lower_id, upper_id) DO NOTHING RETURNING id
)
SELECT id, true AS is_new FROM begun
UNION ALL
SELECT id, false FROM websocket.conversations WHERE lower_id = $1 AND upper_id = $2
LIMIT 1;

-- name: add_participants
-- Let accounts $4 take part in a conversation with a role; $2 does it.
WITH changed AS (
    UPDATE websocket.conversations SET participants_version = participants_version + 1 WHERE id = $1
    RETURNING id, last_seq
)
INSERT INTO websocket.participants (conversation_id, account_id, role, state, after_seq, read_seq)
SELECT c.id, a.account_id, $3, 'joined', c.last_seq, c.last_seq
FROM changed c, unnest($4::uuid[]) AS a (account_id)
WHERE $2::uuid IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: conversation
-- A conversation as one who takes part sees it.
SELECT c.id, c.kind, c.name, c.created_at, least(c.last_seq, p.until_seq) AS last_seq, c.last_at, p.read_seq,
       (SELECT count(*) FROM websocket.messages m
        WHERE m.conversation_id = c.id AND m.seq > p.read_seq AND m.seq <= coalesce(p.until_seq, c.last_seq)
          AND m.sender_id IS DISTINCT FROM p.account_id AND m.deleted_at IS NULL) AS unread
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1 AND c.id = $2 AND p.state <> 'left';

-- name: conversations_of_member
-- Conversations of a member, the one with the latest message first.
SELECT c.id, c.kind, c.name, c.created_at, least(c.last_seq, p.until_seq) AS last_seq, c.last_at, p.read_seq,
       (SELECT count(*) FROM websocket.messages m
        WHERE m.conversation_id = c.id AND m.seq > p.read_seq AND m.seq <= coalesce(p.until_seq, c.last_seq)
          AND m.sender_id IS DISTINCT FROM p.account_id AND m.deleted_at IS NULL) AS unread
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1 AND p.state <> 'left'
  AND ($2::uuid IS NULL OR (c.last_at, c.id) < (SELECT b.last_at, b.id FROM websocket.conversations b WHERE b.id = $2))
ORDER BY c.last_at DESC, c.id DESC
OFFSET $3 LIMIT $4;

-- name: participants
-- Who takes part in these conversations, in the order in which they came.
SELECT p.conversation_id, s.username, s.display_name, s.avatar_url, p.role, p.state
FROM websocket.participants p JOIN feed.member_cards s ON s.id = p.account_id
WHERE p.conversation_id = ANY ($1::uuid[]) AND p.state <> 'left'
ORDER BY p.conversation_id, p.since, s.username;

-- name: window
-- Which messages of a conversation a member may read: after the first number, up to the second.
SELECT p.after_seq, least(p.until_seq, c.last_seq)
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1 AND c.id = $2 AND p.state <> 'invited';

-- name: mark_read
-- Move a member's read marker forward, to no more than there is.
UPDATE websocket.participants p SET read_seq = greatest(p.read_seq, least($3, c.last_seq))
FROM websocket.conversations c
WHERE p.account_id = $1 AND p.conversation_id = $2 AND c.id = $2 AND p.state <> 'left';
