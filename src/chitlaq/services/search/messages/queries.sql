-- name: messages_found (prepared)
-- Messages that the member $1 may read and that match. Who left a group does not see what it is called since.
-- Index: message_words_by_word.
SELECT m.*, (
    SELECT g.name FROM websocket.named_groups g WHERE g.account_id = $1 AND g.id = m.conversation_id
) AS group_name
FROM websocket.messages_found(
    $1, $2::text::tsquery, $3::text::tsquery, $4::text[]::tsquery[], $5::text[]::tsquery[], $6::text::tsquery,
    $7, $8, $9, $10, $11, $12, $13, $14
) m;

-- name: messages_parts (prepared)
-- What these messages ($2 and $3: conversations and numbers) say besides their texts.
SELECT o.id, o.kind, o.text FROM websocket.parts_of_messages($1, $2, $3) o;

-- name: messages_counted (prepared)
-- How many messages that the member $1 may read have each of these, up to $3.
SELECT coalesce((SELECT m.found FROM websocket.messages_found(
    $1, t.wanted::tsquery, NULL, '{}', '{}', NULL, NULL, NULL, true, $3, $4, NULL, 0, 1
) m), 0)
FROM unnest((SELECT $2::text[])) WITH ORDINALITY t (wanted, place) ORDER BY t.place;

-- name: conversations_named
-- The conversations of the member $1 that each of these texts names.
SELECT c.named, c.id FROM websocket.conversations_named($1, $2) c;

-- name: messages_stored (prepared)
-- How many messages were ever stored, as PostgreSQL counts; who stores some says so within a second.
SELECT pg_stat_get_tuples_inserted('websocket.messages'::regclass);

-- name: index_messages (prepared)
-- Index the next messages, $1 at most.
SELECT indexed, waiting_seconds FROM websocket.index_messages($1);
