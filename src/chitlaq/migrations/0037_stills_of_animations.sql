-- The still of an animation, for who prefers reduced motion. Animations from before have none.

ALTER TABLE feed.media_files
    DROP CONSTRAINT media_files_size_check,
    ADD CONSTRAINT media_files_size_check CHECK (size IN ('small', 'medium', 'large', 'still'));

CREATE OR REPLACE VIEW feed.picture_cards AS
SELECT m.id, m.width, m.height, m.alt, m.blurhash,
       m.is_animated AND EXISTS (SELECT FROM feed.media_files f WHERE f.media_id = m.id AND f.size = 'still') AS has_still
FROM feed.media m WHERE m.state <> 'failed' AND m.deleted_at IS NULL;

CREATE OR REPLACE VIEW websocket.complete_messages AS
SELECT m.conversation_id, m.id, m.seq, m.sender_id, m.client_id, m.text, m.sent_at, m.edited_at,
       m.deleted_at IS NOT NULL AS deleted, m.reply_to, m.event,
       CASE WHEN m.subject_id IS NOT NULL
            THEN (SELECT s.username FROM feed.member_cards s WHERE s.id = m.subject_id) END AS subject,
       c.username, c.display_name, c.avatar_url,
       CASE WHEN m.changed_at IS NOT NULL THEN (
           SELECT json_object_agg(r.emoji, r.accounts)
           FROM (SELECT r.emoji, array_agg(r.account_id ORDER BY r.at) AS accounts
                 FROM websocket.reactions r WHERE r.conversation_id = m.conversation_id AND r.seq = m.seq
                 GROUP BY r.emoji ORDER BY min(r.at), r.emoji) r
       ) END AS reactions,
       ARRAY(SELECT f FROM websocket.folded_for(m.conversation_id, m.sender_id) f) AS folded_for,
       m.changed_at,
       CASE WHEN m.has_media THEN (
           SELECT json_agg(json_build_array(p.id, p.width, p.height, p.alt, p.blurhash, p.has_still)
                          ORDER BY o.position)
           FROM websocket.message_media o JOIN feed.picture_cards p ON p.id = o.media_id
           WHERE o.conversation_id = m.conversation_id AND o.seq = m.seq
       ) END AS media
FROM websocket.messages m
LEFT JOIN feed.member_cards c ON c.id = m.sender_id;
