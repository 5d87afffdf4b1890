-- Pictures in messages: who has them, who may see them, and what becomes of them (docs/chat.md).

-- What others may show of a picture; who sees it is decided where it is shown. What failed is not shown.
CREATE VIEW feed.picture_cards AS
SELECT id, width, height, alt, blurhash FROM feed.media WHERE state <> 'failed' AND deleted_at IS NULL;

-- Null for most: that takes no room.
ALTER TABLE websocket.messages ADD COLUMN has_media boolean;

-- As before, with a body that is read when it is called: `m.*` are all columns of the table, also later ones.
CREATE OR REPLACE FUNCTION websocket.write_line(conversation uuid, sender uuid, event text, subject uuid, text text)
RETURNS SETOF websocket.messages
LANGUAGE sql
AS $$
    WITH counted AS (
        UPDATE websocket.conversations c SET last_seq = c.last_seq + 1, last_at = clock_timestamp()
        WHERE c.id = conversation RETURNING c.last_seq, c.last_at
    )
    INSERT INTO websocket.messages AS m (conversation_id, seq, sender_id, text, event, subject_id, sent_at)
    SELECT conversation, c.last_seq, sender, text, event, subject, c.last_at FROM counted c
    RETURNING m.*;
$$;

CREATE TABLE websocket.message_media (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    position smallint NOT NULL CHECK (position BETWEEN 0 AND 3),
    -- One picture is in one message. It goes with the account that uploaded it, the message does not.
    media_id uuid NOT NULL UNIQUE REFERENCES feed.media ON DELETE CASCADE,
    PRIMARY KEY (conversation_id, seq, position),
    FOREIGN KEY (conversation_id, seq) REFERENCES websocket.messages ON DELETE CASCADE
);

-- Who may see which picture: those who may read its message.
CREATE VIEW websocket.media_readers AS
SELECT o.media_id, p.account_id
FROM websocket.message_media o JOIN websocket.participants p ON p.conversation_id = o.conversation_id
WHERE p.state <> 'invited' AND o.seq > p.after_seq AND (p.until_seq IS NULL OR o.seq <= p.until_seq);
GRANT SELECT ON websocket.media_readers TO chitlaq_feed;

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
           SELECT json_agg(json_build_array(p.id, p.width, p.height, p.alt, p.blurhash) ORDER BY o.position)
           FROM websocket.message_media o JOIN feed.picture_cards p ON p.id = o.media_id
           WHERE o.conversation_id = m.conversation_id AND o.seq = m.seq
       ) END AS media
FROM websocket.messages m
LEFT JOIN feed.member_cards c ON c.id = m.sender_id;

-- Use pictures in a message of their owner: those that may be attached. A second statement sees what the first
-- waited for.
CREATE FUNCTION feed.use_media(owner uuid, pictures uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM FROM feed.media m WHERE m.id = ANY (pictures) ORDER BY m.id FOR NO KEY UPDATE;
    RETURN QUERY
    UPDATE feed.media m SET is_used = true FROM feed.attachable_media(owner) a
    WHERE m.id = ANY (pictures) AND a.id = m.id
    RETURNING m.id;
END
$$;
REVOKE ALL ON FUNCTION feed.use_media FROM public;
GRANT EXECUTE ON FUNCTION feed.use_media TO chitlaq_websocket;

-- However a post or a message gets and loses its pictures, they know. One that a message has got meanwhile is in no
-- post. What is deleted already is left alone: who erases an account may hold it.
CREATE OR REPLACE FUNCTION feed.note_use_of_media() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE feed.media SET is_used = true WHERE id = NEW.media_id AND deleted_at IS NULL AND NOT is_used;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the picture is deleted, or used' USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSE
        UPDATE feed.media SET deleted_at = now() WHERE id = OLD.media_id AND deleted_at IS NULL;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION feed.note_use_of_media FROM public;
CREATE TRIGGER note_use_of_media AFTER DELETE ON websocket.message_media
FOR EACH ROW EXECUTE FUNCTION feed.note_use_of_media();

-- What a post shows is cached by the post's version; who has a message on the screen is told.
CREATE OR REPLACE FUNCTION feed.renew_post_of_media() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE feed.posts SET version = version + 1
    WHERE id = (SELECT o.post_id FROM feed.post_media o WHERE o.media_id = NEW.id);
    IF NOT FOUND THEN
        INSERT INTO jobs.jobs (kind, payload, request_id)
        SELECT 'renew_message', jsonb_build_object('conversation_id', o.conversation_id, 'seq', o.seq), repeat('0', 32)
        FROM websocket.message_media o WHERE o.media_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION feed.renew_post_of_media FROM public;
CREATE POLICY renew_message ON jobs.jobs TO chitlaq_websocket USING (kind = 'renew_message');
