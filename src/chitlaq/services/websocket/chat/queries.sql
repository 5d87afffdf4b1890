-- name: store_messages (prepared)
-- Store messages that arrived in the same moment, of them at most $6 in an unanswered request; the answers are in
-- their order.
SELECT refused, is_new, id, seq, sent_at, version, folded_for FROM websocket.store_messages($1, $2, $3, $4, $5, $6);

-- name: attach_pictures
-- Put pictures ($4) of the sender ($3) into a new message; how many of them could be.
WITH attached AS (
    INSERT INTO websocket.message_media (conversation_id, seq, position, media_id)
    SELECT $1, $2, a.position - 1, u.id
    FROM feed.use_media($3, $4::uuid[]) AS u (id)
    JOIN unnest($4::uuid[]) WITH ORDINALITY AS a (id, position) USING (id)
    RETURNING position
), noted AS (
    UPDATE websocket.messages SET has_media = true WHERE conversation_id = $1 AND seq = $2
)
SELECT count(*) FROM attached;

-- name: pictures_of_message
-- What a message shows beside its text.
SELECT media FROM websocket.complete_messages WHERE conversation_id = $1 AND seq = $2;

-- name: people (prepared)
-- Names and faces of these accounts. The synthetic members have no profile. The arrays are subqueries, here and in other
-- statements, to hide their lengths from the planner, which would otherwise replan for each.
SELECT id, username, display_name, avatar_url FROM feed.member_cards WHERE id = ANY ((SELECT $1::uuid[])::uuid[])
UNION ALL
SELECT id, username, display_name, NULL FROM auth.synthetic_accounts WHERE id = ANY ((SELECT $1::uuid[])::uuid[]);

-- name: readers (prepared)
-- Who may read which messages of a conversation, and the version of that. Requests are read over HTTP only.
SELECT c.participants_version AS version, p.account_id, p.after_seq, p.until_seq
FROM websocket.conversations c
LEFT JOIN websocket.participants p ON p.conversation_id = c.id AND p.state IN ('joined', 'left')
WHERE c.id = $1;

-- name: messages_between (prepared)
-- The messages of a conversation after $2 and up to $3, in order; $5 is when the reader left, if they did.
SELECT m.conversation_id, m.id, m.seq, m.sender_id, m.client_id,
       CASE WHEN m.edited_at > $5
            THEN (SELECT e.text FROM websocket.message_edits e
                  WHERE e.conversation_id = m.conversation_id AND e.seq = m.seq AND e.replaced_at > $5
                  ORDER BY e.replaced_at LIMIT 1)
            ELSE m.text END AS text,
       m.sent_at, m.edited_at, m.deleted, m.reply_to, m.event, m.subject, m.username, m.display_name, m.avatar_url,
       CASE WHEN $5::timestamptz IS NULL THEN m.reactions END AS reactions, m.folded_for,
       -- A description may have been written since then.
       CASE WHEN m.changed_at > $5
            THEN (SELECT json_agg(CASE WHEN json_typeof(p.picture) = 'array'
                                       THEN jsonb_set(p.picture::jsonb, '{3}', '""') END ORDER BY p.place)
                  FROM json_array_elements(m.media) WITH ORDINALITY AS p (picture, place))
            ELSE m.media END AS media
FROM websocket.complete_messages m
WHERE m.conversation_id = $1 AND m.seq > $2 AND m.seq <= $3
ORDER BY m.seq LIMIT $4;

-- name: messages_named (prepared)
-- Messages by conversation and number, in this order, and whether each was sent in the last seconds ($3).
SELECT m.conversation_id, m.id, m.seq, m.sender_id, m.client_id, m.text, m.sent_at, m.edited_at, m.deleted,
       m.reply_to, m.event, m.subject, m.username, m.display_name, m.avatar_url, m.reactions, m.folded_for,
       m.media, m.changed_at, m.sent_at > clock_timestamp() - make_interval(secs => $3) AS is_recent
FROM unnest((SELECT $1::uuid[]), (SELECT $2::bigint[])) WITH ORDINALITY AS a (conversation_id, seq, place)
JOIN websocket.complete_messages m USING (conversation_id, seq)
ORDER BY a.place;

-- name: first_lately (prepared)
-- The lowest number of a message of the last seconds ($2), among the latest thousand of a conversation.
SELECT min(m.seq)
FROM websocket.messages m JOIN websocket.conversations c ON c.id = m.conversation_id
WHERE c.id = $1 AND m.seq > c.last_seq - 1000 AND m.sent_at > clock_timestamp() - make_interval(secs => $2);

-- name: recent_conversations
-- Conversations with messages of the last seconds ($1), with the lowest and the highest number of these.
-- Index: messages_by_time.
SELECT conversation_id, min(seq) AS first_seq, max(seq) AS last_seq
FROM websocket.messages WHERE sent_at >= now() - make_interval(secs => $1) GROUP BY conversation_id;

-- name: recently_changed_messages
-- Messages that were changed in the last seconds ($1). Index: messages_changed_lately.
SELECT conversation_id, seq, changed_at FROM websocket.messages
WHERE changed_at >= now() - make_interval(secs => $1) ORDER BY changed_at;

-- name: recently_changed_conversations
-- Conversations of which somebody came or went, or a setting changed, in the last seconds ($1), and whom that
-- concerns. Index: conversations_changed.
SELECT c.id, c.participants_version AS version,
       ARRAY(SELECT p.account_id FROM websocket.participants p
             WHERE p.conversation_id = c.id AND (p.state <> 'left' OR p.since >= now() - make_interval(secs => $1))
               AND (p.state <> 'requested' OR c.last_seq > 0)) AS audience
FROM websocket.conversations c WHERE c.changed_at >= now() - make_interval(secs => $1);

-- name: missed (prepared)
-- What a member has missed: for each conversation ($2) after the number seen ($3), the last readable one. Also where
-- more was seen than there is, since the database was restored to an earlier moment: what follows is new.
SELECT a.conversation_id, greatest(a.seen, p.after_seq) AS seen, least(p.until_seq, c.last_seq) AS last_seq,
       CASE WHEN p.state = 'left' THEN p.since END AS left_at
FROM unnest((SELECT $2::uuid[]), (SELECT $3::bigint[])) AS a (conversation_id, seen)
JOIN websocket.participants p
    ON p.conversation_id = a.conversation_id AND p.account_id = $1 AND p.state IN ('joined', 'left')
JOIN websocket.conversations c ON c.id = a.conversation_id
WHERE least(p.until_seq, c.last_seq) > greatest(a.seen, p.after_seq) OR a.seen > c.last_seq;

-- name: missed_changes
-- Of each conversation ($2), the messages up to the number seen ($3) that were changed since that one was sent.
-- $4 seconds earlier, too: what was committed before it may have arrived after it. Index: messages_changed.
SELECT a.conversation_id, array_agg(m.seq ORDER BY m.changed_at) AS numbers
FROM unnest($2::uuid[], $3::bigint[]) AS a (conversation_id, seen)
JOIN websocket.participants p
    ON p.conversation_id = a.conversation_id AND p.account_id = $1 AND p.state = 'joined'
JOIN websocket.messages s ON s.conversation_id = a.conversation_id AND s.seq = a.seen
CROSS JOIN LATERAL (
    SELECT m.seq, m.changed_at FROM websocket.messages m
    WHERE m.conversation_id = a.conversation_id AND m.changed_at >= s.sent_at - make_interval(secs => $4)
      AND m.seq <= a.seen AND m.seq > p.after_seq
    ORDER BY m.changed_at DESC LIMIT $5
) m
GROUP BY a.conversation_id;

-- name: own_markers (prepared)
-- How far a member has read in these conversations, and what remains.
SELECT p.conversation_id, s.username, p.read_seq,
       websocket.unread(c.id, p.account_id, p.read_seq, coalesce(p.until_seq, c.last_seq)) AS unread
FROM websocket.participants p
JOIN websocket.conversations c ON c.id = p.conversation_id
JOIN feed.member_cards s ON s.id = p.account_id
WHERE p.account_id = $1 AND p.conversation_id = ANY ((SELECT $2::uuid[])::uuid[]) AND p.state = 'joined';

-- name: reachable
-- Of these usernames, whom the member $1 may write to, and whether they follow that member.
SELECT s.id, s.username, f.follower_id IS NOT NULL AS is_follower
FROM feed.member_cards s
LEFT JOIN feed.follow_pairs f ON f.follower_id = s.id AND f.followed_id = $1
LEFT JOIN websocket.privacy y ON y.account_id = s.id
WHERE s.username = ANY ($2::text[]) AND NOT EXISTS (SELECT FROM websocket.blocks_between(s.id, $1))
  AND (s.id = $1
       OR CASE coalesce(y.may_message, 'everyone')
          WHEN 'everyone' THEN true
          WHEN 'nobody' THEN false
          ELSE f.follower_id IS NOT NULL
            OR y.may_message = 'university'
               AND s.university_id = (SELECT o.university_id FROM feed.member_cards o WHERE o.id = $1) END
       OR EXISTS (SELECT FROM websocket.conversations c
                  JOIN websocket.participants p ON p.conversation_id = c.id AND p.account_id = s.id
                  WHERE c.lower_id = least(s.id, $1) AND c.upper_id = greatest(s.id, $1) AND p.state = 'joined'));

-- name: insert_group
-- A new group.
INSERT INTO websocket.conversations (kind, name, is_history_visible, created_by) VALUES ('group', $2, $3, $1)
RETURNING id;

-- name: begin_direct
-- The direct conversation of two accounts ($1 < $2), begun by $3 if there was none.
-- The update changes nothing: it waits for who is just beginning it, and locks the row as every change does.
INSERT INTO websocket.conversations AS c (kind, lower_id, upper_id, created_by) VALUES ('direct', $1, $2, $3)
ON CONFLICT (lower_id, upper_id) DO UPDATE SET kind = c.kind
RETURNING c.id, c.xmax = 0 AS is_new;

-- name: add_participants
-- Let accounts $3 begin in a new conversation with a role ($2) and a state ($4), after those who did before.
INSERT INTO websocket.participants (conversation_id, account_id, role, state, since)
SELECT $1, a.account_id, $2, $4, clock_timestamp() FROM unnest($3::uuid[]) AS a (account_id);

-- name: lock_conversation
-- Lock a conversation: nobody numbers a message or changes who takes part until the transaction ends.
SELECT kind, name, is_history_visible, last_seq FROM websocket.conversations WHERE id = $1 FOR NO KEY UPDATE;

-- name: participant
-- How an account takes part in a conversation. Ask after `lock_conversation`, to see what that waited for.
SELECT role, state FROM websocket.participants WHERE conversation_id = $1 AND account_id = $2;

-- name: participant_named
-- How the member of this name takes part in a conversation, if they do; one who is leaving only if $3.
SELECT i.id, p.role, p.state
FROM feed.member_ids i
LEFT JOIN websocket.participants p ON p.conversation_id = $1 AND p.account_id = i.id
WHERE i.username = $2 AND ($3 OR EXISTS (SELECT FROM feed.member_cards s WHERE s.id = i.id));

-- name: other_of_direct
-- The other one of a direct conversation, and whether one of the two blocks the other.
SELECT o.id, EXISTS (SELECT FROM websocket.blocks_between(o.id, $2)) AS is_blocked
FROM websocket.conversations c
CROSS JOIN LATERAL (SELECT CASE c.lower_id WHEN $2 THEN c.upper_id ELSE c.lower_id END AS id) o
WHERE c.id = $1 AND c.kind = 'direct';

-- name: count_participants
-- How many take part in a group, or are invited.
SELECT count(*) FROM websocket.participants WHERE conversation_id = $1 AND state <> 'left';

-- name: owner
-- Who owns a group; another than before when the owner has just left.
SELECT account_id FROM websocket.participants WHERE conversation_id = $1 AND role = 'owner';

-- name: set_participant
-- Let an account ($2) take part with a role and a state, reading what follows number $5; $6 has invited it.
INSERT INTO websocket.participants AS p (conversation_id, account_id, role, state, after_seq, read_seq, invited_by)
VALUES ($1, $2, $3, $4, $5, $5, $6)
ON CONFLICT (conversation_id, account_id) DO UPDATE
SET role = excluded.role, state = excluded.state, since = clock_timestamp(), after_seq = excluded.after_seq,
    read_seq = greatest(p.read_seq, excluded.read_seq), until_seq = NULL, invited_by = excluded.invited_by,
    muted_until = NULL, archived_at = NULL, pinned_at = NULL;

-- name: join_direct
-- Take part in a direct conversation at last, or again; all of it is readable.
UPDATE websocket.participants SET state = 'joined', since = clock_timestamp(), until_seq = NULL
WHERE conversation_id = $1 AND account_id = $2;

-- name: set_role
-- Give a participant another role.
UPDATE websocket.participants SET role = $3 WHERE conversation_id = $1 AND account_id = $2;

-- name: end_participation
-- Let an account take part no longer: it reads what it could, up to number $3, and nothing after.
UPDATE websocket.participants
SET state = 'left', role = 'member', since = clock_timestamp(), invited_by = NULL,
    until_seq = CASE state WHEN 'joined' THEN $3 ELSE after_seq END
WHERE conversation_id = $1 AND account_id = $2;

-- name: decline_invitation
-- Let an account not come into a group; who invited it is kept.
UPDATE websocket.participants p
SET state = 'left', role = 'member', since = clock_timestamp(), until_seq = after_seq,
    invited_by = coalesce(p.invited_by, c.created_by)
FROM websocket.conversations c
WHERE c.id = $1 AND p.conversation_id = $1 AND p.account_id = $2;

-- name: has_declined
-- Whether an account ($2) has declined an invitation of another's ($3) in the last $4 days.
SELECT EXISTS (SELECT FROM websocket.participants
               WHERE conversation_id = $1 AND account_id = $2 AND state = 'left' AND invited_by = $3
                 AND since > now() - make_interval(days => $4));

-- name: look_at_notifications
-- Let it be looked at again what is told of a conversation to these members ($2; null: to all); the job, which the
-- caller runs.
INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
VALUES ('notify', 'running', 1, jobs.lease(),
        jsonb_build_object('type', 'conversation', 'conversation_id', $1::uuid, 'member_ids', $2::uuid[]), $3)
RETURNING id;

-- name: groups_of
-- The groups that an account takes part in, or is invited to. Index: participants_by_account.
SELECT p.conversation_id
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1 AND p.state <> 'left' AND c.kind = 'group' ORDER BY p.conversation_id;

-- name: delete_direct
-- Delete one of an account's direct conversations, and let go what is told of it; its id, the next version, and the
-- other of the two.
WITH deleted AS (
    DELETE FROM websocket.conversations WHERE id = (
        SELECT c.id FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
        WHERE p.account_id = $1 AND c.kind = 'direct' ORDER BY c.id LIMIT 1
    )
    RETURNING id, participants_version + 1 AS version, CASE WHEN lower_id = $1 THEN upper_id ELSE lower_id END AS other
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'conversation', 'conversation_id', d.id), $2 FROM deleted d
    WHERE EXISTS (SELECT FROM websocket.notification_causes c WHERE c.subject_id = d.id)
)
SELECT id, version, other FROM deleted;

-- name: touch_conversation
-- Note that a conversation's participants or settings changed.
UPDATE websocket.conversations
SET participants_version = participants_version + 1, changed_at = clock_timestamp()
WHERE id = $1 RETURNING participants_version;

-- name: write_line
-- Write into a conversation's history what a member ($2) did ($3), and to whom ($4); $5 is a new name.
SELECT w.id, w.seq, w.sent_at, c.participants_version AS version,
       ARRAY(SELECT f FROM websocket.folded_for(w.conversation_id, w.sender_id) f) AS folded_for
FROM websocket.write_line($1, $2, $3, $4, $5) w JOIN websocket.conversations c ON c.id = w.conversation_id;

-- name: concerned (prepared)
-- Whom a change of a conversation concerns, and its version; also the one who has left ($2).
SELECT c.participants_version AS version,
       ARRAY(SELECT p.account_id FROM websocket.participants p
             WHERE p.conversation_id = c.id AND (p.state <> 'left' OR p.account_id = $2)
               AND (p.state <> 'requested' OR c.last_seq > 0)) AS audience
FROM websocket.conversations c WHERE c.id = $1;

-- name: change_conversation
-- Rename a group, or change whether who joins may read what was said before.
UPDATE websocket.conversations SET name = $2, is_history_visible = $3 WHERE id = $1;

-- name: picture_of_conversation
-- The picture of a group. Ask after `lock_conversation`, to see what that waited for.
SELECT media_id FROM websocket.conversation_media WHERE conversation_id = $1;

-- name: remove_picture
-- Let a group have no picture; nobody sees the one that it had any more.
DELETE FROM websocket.conversation_media WHERE conversation_id = $1;

-- name: set_picture
-- Give a group a picture ($3) of an account ($2), if it is in nothing else.
INSERT INTO websocket.conversation_media (conversation_id, media_id)
SELECT $1, u.id FROM feed.use_media($2, ARRAY[$3::uuid]) AS u (id);

-- name: has_picture
-- Whether a group has a picture that is ready.
SELECT EXISTS (SELECT FROM websocket.conversation_pictures WHERE conversation_id = $1 AND is_ready);

-- name: change_own_settings
-- Mute, archive or pin a conversation, for one member; null changes nothing.
UPDATE websocket.participants
SET muted_until = CASE WHEN $3 THEN $4 ELSE muted_until END,
    archived_at = CASE $5::boolean WHEN true THEN coalesce(archived_at, now()) WHEN false THEN NULL ELSE archived_at END,
    pinned_at = CASE $6::boolean WHEN true THEN coalesce(pinned_at, now()) WHEN false THEN NULL ELSE pinned_at END
WHERE conversation_id = $1 AND account_id = $2 AND state <> 'left';

-- name: conversation (prepared)
-- A conversation as one who takes part sees it.
SELECT c.id, c.kind, c.name,
       (SELECT o.picture FROM websocket.conversation_pictures o WHERE o.conversation_id = c.id) AS picture,
       c.is_history_visible, c.created_at, least(c.last_seq, p.until_seq) AS last_seq, c.last_at,
       c.participants_version AS version, p.role, p.state, p.read_seq, p.muted_until, p.archived_at IS NOT NULL AS archived,
       p.pinned_at IS NOT NULL AS pinned,
       CASE p.state WHEN 'invited' THEN 0
            ELSE websocket.unread(c.id, p.account_id, p.read_seq, coalesce(p.until_seq, c.last_seq)) END AS unread
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1 AND c.id = $2 AND p.state <> 'left';

-- name: conversations_of_member (prepared)
-- Conversations in a folder ($5) of a member, pinned ones first, then the one with the latest message.
WITH listed AS (
    SELECT p.*, (p.pinned_at IS NOT NULL) AS pinned, c.last_at
    FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
    WHERE p.account_id = $1
      AND CASE $5
          WHEN 'requests' THEN p.state = 'invited' OR (p.state = 'requested' AND c.last_seq > 0)
          WHEN 'archived' THEN p.state = 'joined' AND p.archived_at IS NOT NULL
          ELSE p.state = 'joined' AND p.archived_at IS NULL END
)
SELECT c.id, c.kind, c.name,
       (SELECT o.picture FROM websocket.conversation_pictures o WHERE o.conversation_id = c.id) AS picture,
       c.is_history_visible, c.created_at, least(c.last_seq, p.until_seq) AS last_seq, c.last_at,
       c.participants_version AS version, p.role, p.state, p.read_seq, p.muted_until, p.archived_at IS NOT NULL AS archived,
       p.pinned,
       CASE p.state WHEN 'invited' THEN 0
            ELSE websocket.unread(c.id, p.account_id, p.read_seq, coalesce(p.until_seq, c.last_seq)) END AS unread
FROM listed p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE $2::uuid IS NULL
   OR (p.pinned, p.last_at, c.id) <
      (SELECT b.pinned, b.last_at, b.conversation_id FROM listed b WHERE b.conversation_id = $2)
ORDER BY p.pinned DESC, p.last_at DESC, c.id DESC
OFFSET $3 LIMIT $4;

-- name: last_messages (prepared)
-- The latest message of each of these conversations ($2) that the member $1 may read, as `messages_named`.
SELECT m.conversation_id, m.id, m.seq, m.sender_id, m.client_id, m.text, m.sent_at, m.edited_at, m.deleted,
       m.reply_to, m.event, m.subject, m.username, m.display_name, m.avatar_url, m.reactions, m.folded_for, m.media
FROM websocket.participants p
JOIN websocket.conversations c ON c.id = p.conversation_id
JOIN websocket.complete_messages m ON m.conversation_id = c.id AND m.seq = c.last_seq
WHERE p.account_id = $1 AND c.id = ANY ((SELECT $2::uuid[])::uuid[]) AND p.state IN ('joined', 'requested')
  AND m.seq > p.after_seq;

-- name: participants (prepared)
-- Who takes part in these conversations, in the order in which they came, as the member $2 sees it. How far
-- somebody has read is seen by who shows it, too, as of `marker_audience`. A request that was declined looks like one
-- that was not answered. The array is a subquery to hide its length, for
-- which PostgreSQL would plan each time.
SELECT p.conversation_id, s.username, s.display_name, s.avatar_url, p.role,
       CASE p.state WHEN 'left' THEN 'requested' ELSE p.state END AS state,
       CASE WHEN p.account_id = $2
              OR (p.state = 'joined' AND coalesce(y.shares_read, true) AND coalesce(o.shares_read, true)
                  AND NOT EXISTS (SELECT FROM websocket.blocks_between(p.account_id, $2)))
            THEN p.read_seq END AS read_seq
FROM websocket.participants p
JOIN websocket.conversations c ON c.id = p.conversation_id
JOIN feed.member_cards s ON s.id = p.account_id
LEFT JOIN websocket.privacy y ON y.account_id = p.account_id
LEFT JOIN websocket.privacy o ON o.account_id = $2
WHERE p.conversation_id = ANY ((SELECT $1::uuid[])::uuid[]) AND (p.state <> 'left' OR c.kind = 'direct')
ORDER BY p.conversation_id, CASE c.kind WHEN 'group' THEN p.since END, s.username;

-- name: window (prepared)
-- Which messages of a conversation a member may read: after the first number, up to the second; when they left; and
-- up to which they have read.
SELECT p.after_seq, least(p.until_seq, c.last_seq) AS until_seq, CASE WHEN p.state = 'left' THEN p.since END AS left_at,
       p.read_seq
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1 AND c.id = $2 AND p.state <> 'invited';

-- name: seq_at
-- The first message at or after a moment ($2), of those after $3 and up to $4.
SELECT websocket.seq_at($1, $2, $3, $4);

-- name: mark_read
-- Move a member's read marker forward, to no more than there is; what remains unread, who may know, and the job that
-- takes out what the member was told of it, if they were, which the caller runs.
WITH marked AS (
    UPDATE websocket.participants p
    SET read_seq = greatest(p.read_seq, least($3, c.last_seq)),
        read_at = CASE WHEN p.read_seq < least($3, c.last_seq) THEN clock_timestamp() ELSE p.read_at END
    FROM websocket.conversations c
    WHERE p.account_id = $1 AND p.conversation_id = $2 AND c.id = $2 AND p.state IN ('joined', 'requested')
    RETURNING p.conversation_id, p.account_id, p.read_seq, c.last_seq
), told AS (
    INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
    SELECT 'notify', 'running', 1, jobs.lease(),
           jsonb_build_object('type', 'conversation', 'conversation_id', $2::uuid, 'member_ids', ARRAY[$1::uuid]), $5
    WHERE EXISTS (SELECT FROM websocket.notifications n
                  WHERE n.recipient_id = $1 AND n.kind = 'message' AND n.subject_id = $2)
    RETURNING id
)
SELECT m.conversation_id, m.account_id, s.username, m.read_seq,
       websocket.unread(m.conversation_id, m.account_id, m.read_seq, m.last_seq) AS unread,
       websocket.marker_audience(m.conversation_id, m.account_id, $4) AS audience,
       (SELECT id FROM told) AS job_id
FROM marked m JOIN feed.member_cards s ON s.id = m.account_id;

-- name: mark_unread
-- Move a member's read marker back, before a number; what is unread then, for their own devices alone.
UPDATE websocket.participants p
SET read_seq = least(p.read_seq, greatest(p.after_seq, $3::bigint - 1)),
    read_at = CASE WHEN p.read_seq >= $3 THEN clock_timestamp() ELSE p.read_at END
FROM websocket.conversations c, feed.member_cards s
WHERE p.account_id = $1 AND p.conversation_id = $2 AND c.id = $2 AND p.state IN ('joined', 'requested') AND s.id = $1
RETURNING p.conversation_id, p.account_id, s.username, p.read_seq,
          websocket.unread(p.conversation_id, p.account_id, p.read_seq, c.last_seq) AS unread, NULL AS audience;

-- name: unread_totals
-- In how many conversations of a member something is unread, but for muted and archived ones, and how many ask them.
SELECT count(*) FILTER (
           WHERE p.state = 'joined' AND p.archived_at IS NULL AND (p.muted_until IS NULL OR p.muted_until <= now())
             AND websocket.unread(c.id, $1, p.read_seq, c.last_seq) > 0) AS conversations,
       count(*) FILTER (WHERE p.state <> 'joined') AS requests
FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE p.account_id = $1
  AND (p.state = 'joined' AND c.last_seq > p.read_seq OR p.state = 'invited' OR p.state = 'requested' AND c.last_seq > 0);

-- name: recently_moved_markers
-- Read markers that were moved in the last seconds ($1). Index: participants_by_read.
SELECT conversation_id, account_id, read_seq FROM websocket.participants
WHERE read_at >= now() - make_interval(secs => $1);

-- name: markers
-- How far accounts ($2) have read in conversations ($1), what remains, and who may know.
SELECT p.conversation_id, p.account_id, s.username, p.read_seq,
       websocket.unread(p.conversation_id, p.account_id, p.read_seq, c.last_seq) AS unread,
       websocket.marker_audience(p.conversation_id, p.account_id, $3) AS audience
FROM unnest($1::uuid[], $2::uuid[]) AS a (conversation_id, account_id)
JOIN websocket.participants p USING (conversation_id, account_id)
JOIN websocket.conversations c ON c.id = p.conversation_id
JOIN feed.member_cards s ON s.id = p.account_id
WHERE p.state IN ('joined', 'requested');

-- name: lock_message
-- Lock a message that the member $1 takes part in the conversation of.
SELECT m.sender_id, m.text, m.event, m.has_media, m.deleted_at IS NOT NULL AS deleted, p.role, c.kind,
       m.sent_at > now() - make_interval(hours => $4) AS is_editable,
       c.kind = 'direct' AND EXISTS (SELECT FROM websocket.blocks_between(c.lower_id, c.upper_id)) AS is_blocked
FROM websocket.messages m
JOIN websocket.conversations c ON c.id = m.conversation_id
JOIN websocket.participants p ON p.conversation_id = c.id AND p.account_id = $1
WHERE m.conversation_id = $2 AND m.seq = $3 AND p.state = 'joined' AND m.seq > p.after_seq
FOR NO KEY UPDATE OF m;

-- name: keep_edit
-- Keep what a message says before it is edited.
INSERT INTO websocket.message_edits (conversation_id, seq, replaced_at, text)
SELECT conversation_id, seq, clock_timestamp(), text FROM websocket.messages WHERE conversation_id = $1 AND seq = $2;

-- name: edit_message
-- Give a message another text.
UPDATE websocket.messages SET text = $3, edited_at = clock_timestamp() WHERE conversation_id = $1 AND seq = $2;

-- name: touch_message
-- Note that a message has changed; later than before, whatever the clock says.
UPDATE websocket.messages SET changed_at = greatest(clock_timestamp(), changed_at + interval '1 microsecond')
WHERE conversation_id = $1 AND seq = $2;

-- name: delete_message
-- Leave only a tombstone of a message.
WITH edits AS (DELETE FROM websocket.message_edits WHERE conversation_id = $1 AND seq = $2),
reactions AS (DELETE FROM websocket.reactions WHERE conversation_id = $1 AND seq = $2),
pictures AS (DELETE FROM websocket.message_media WHERE conversation_id = $1 AND seq = $2)
UPDATE websocket.messages SET text = '', has_media = NULL, deleted_at = clock_timestamp()
WHERE conversation_id = $1 AND seq = $2;

-- name: edits
-- What a message said before, oldest first, as far as the member $1 may read it.
SELECT e.text, e.replaced_at
FROM websocket.message_edits e
JOIN websocket.participants p ON p.conversation_id = e.conversation_id AND p.account_id = $1
WHERE e.conversation_id = $2 AND e.seq = $3 AND p.state = 'joined' AND e.seq > p.after_seq
ORDER BY e.replaced_at;

-- name: count_emojis
-- How many kinds of reactions others than $3 a message has.
SELECT count(DISTINCT emoji) FROM websocket.reactions WHERE conversation_id = $1 AND seq = $2 AND emoji <> $3;

-- name: react
-- React to a message, once with each emoji.
INSERT INTO websocket.reactions (conversation_id, seq, account_id, emoji) VALUES ($2, $3, $1, $4) ON CONFLICT DO NOTHING;

-- name: take_reaction_back
-- Take a reaction back.
DELETE FROM websocket.reactions WHERE account_id = $1 AND conversation_id = $2 AND seq = $3 AND emoji = $4;

-- name: privacy
-- What a member allows others.
SELECT may_message, shares_read, shares_presence FROM websocket.privacy WHERE account_id = $1;

-- name: set_privacy
-- Change what a member allows others.
INSERT INTO websocket.privacy (account_id, may_message, shares_read, shares_presence) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id) DO UPDATE
SET may_message = excluded.may_message, shares_read = excluded.shares_read, shares_presence = excluded.shares_presence;

-- name: joined
-- Who takes part in these conversations, and after which number each may read.
SELECT conversation_id, account_id, after_seq FROM websocket.participants
WHERE conversation_id = ANY ($1::uuid[]) AND state = 'joined';
