-- Pictures are found by what describes them; and whether the index has what it is made of (docs/search.md).

-- What describes the pictures of a post or a message is found, too.
CREATE FUNCTION search.alts_of(pictures uuid[]) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT string_agg(c.alt, E'\n' ORDER BY a.place)
        FROM unnest(pictures) WITH ORDINALITY a (id, place) JOIN feed.picture_cards c ON c.id = a.id WHERE c.alt <> '');

CREATE OR REPLACE FUNCTION search.post_vector(p feed.posts) RETURNS tsvector
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    said text := p.text;
    folded text;
    marks text[] := search.blocks_of(search.hour_of(p.id, p.created_at)) || ('@f' || p.author_id);
BEGIN
    IF p.content_warning IS NOT NULL THEN
        said := said || E'\n' || p.content_warning;
    END IF;
    IF p.has_poll THEN
        marks := marks || '@poll'::text;
        said := concat_ws(E'\n', said, (SELECT array_to_string(q.options, E'\n') FROM feed.polls q WHERE q.post_id = p.id));
    END IF;
    IF p.has_media THEN
        marks := marks || '@picture'::text;
        said := concat_ws(E'\n', said, search.alts_of(ARRAY(
            SELECT o.media_id FROM feed.post_media o WHERE o.post_id = p.id ORDER BY o.position)));
    END IF;
    IF p.reply_to IS NOT NULL THEN
        marks := marks || ARRAY(
            SELECT '@t' || o.author_id FROM feed.posts o WHERE o.id = p.reply_to AND o.author_id IS NOT NULL
        );
    END IF;
    folded := search.folded(said);
    RETURN search.vector(folded, marks || search.text_marks(folded));
END
$$;

CREATE OR REPLACE FUNCTION search.message_vector(m websocket.messages) RETURNS tsvector
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    said text := m.text;
    folded text;
    marks text[] := search.blocks_of(search.hour_of(m.id, m.sent_at)) || ('@c' || m.conversation_id);
BEGIN
    IF m.sender_id IS NOT NULL THEN
        marks := marks || ('@f' || m.sender_id);
    END IF;
    IF m.has_media THEN
        marks := marks || '@picture'::text;
        said := concat_ws(E'\n', said, search.alts_of(ARRAY(
            SELECT o.media_id FROM websocket.message_media o
            WHERE o.conversation_id = m.conversation_id AND o.seq = m.seq ORDER BY o.position)));
    END IF;
    folded := search.folded(said);
    RETURN search.vector(folded, marks || search.text_marks(folded));
END
$$;

-- A description may be written later; what fails or is removed is found no longer.
CREATE FUNCTION search.follow_picture() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE feed.post_words w SET words = search.post_vector(p)
    FROM feed.post_media o JOIN feed.posts p ON p.id = o.post_id WHERE o.media_id = NEW.id AND w.post_id = p.id;
    INSERT INTO websocket.message_words (conversation_id, seq, message_id, words)
    SELECT m.conversation_id, m.seq, m.id, search.message_vector(m)
    FROM websocket.message_media o JOIN websocket.messages m USING (conversation_id, seq)
    WHERE o.media_id = NEW.id AND m.deleted_at IS NULL
    ON CONFLICT (conversation_id, seq) DO UPDATE SET words = excluded.words;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION search.follow_picture FROM public;
CREATE TRIGGER search_follows_picture AFTER UPDATE OF alt, state, deleted_at ON feed.media
FOR EACH ROW
WHEN (NEW.is_used AND ((OLD.alt, OLD.deleted_at) IS DISTINCT FROM (NEW.alt, NEW.deleted_at)
                       OR NEW.alt <> '' AND NEW.state = 'failed' AND OLD.state <> 'failed'))
EXECUTE FUNCTION search.follow_picture();

UPDATE feed.post_words w SET words = search.post_vector(p)
FROM feed.posts p
WHERE p.id = w.post_id
  AND p.id IN (SELECT o.post_id FROM feed.post_media o JOIN feed.picture_cards c ON c.id = o.media_id WHERE c.alt <> '');
UPDATE websocket.message_words w SET words = search.message_vector(m)
FROM websocket.messages m
WHERE (m.conversation_id, m.seq) = (w.conversation_id, w.seq) AND m.deleted_at IS NULL
  AND (m.conversation_id, m.seq) IN (SELECT o.conversation_id, o.seq FROM websocket.message_media o
                                     JOIN feed.picture_cards c ON c.id = o.media_id WHERE c.alt <> '');

-- Who left a conversation finds no message by what was described since, as by what was edited since.
DO $$
DECLARE
    known constant text := '(p.state <> ''left'' OR m.edited_at IS NULL OR m.edited_at <= p.since)';
    source constant text := pg_get_functiondef('websocket.messages_found'::regproc);
BEGIN
    ASSERT strpos(source, known) > 0;
    EXECUTE replace(source, known, '(p.state <> ''left'''
        ' OR greatest(m.edited_at, CASE WHEN m.has_media THEN m.changed_at END) <= p.since IS NOT FALSE)');
END
$$;

-- What the index has otherwise than what it is made of: of about so many members, posts and messages each, chosen by chance.
-- Of messages, those that are not indexed yet are not looked at.
CREATE FUNCTION search.index_faults(looked_at integer) RETURNS TABLE (kind text, id uuid, fault text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    WITH rows AS MATERIALIZED (
        SELECT c.oid, least(100, 100.0 * looked_at / greatest(1, c.reltuples)) AS percent
        FROM pg_catalog.pg_class c
        WHERE c.oid IN ('feed.members'::regclass, 'feed.posts'::regclass, 'websocket.messages'::regclass)
    ), members AS MATERIALIZED (
        SELECT m.id
        FROM feed.members m TABLESAMPLE SYSTEM ((SELECT r.percent FROM rows r WHERE r.oid = 'feed.members'::regclass))
        ORDER BY random() LIMIT looked_at / 4
    ), posts AS MATERIALIZED (
        SELECT p.id,
               CASE WHEN p.deleted_at IS NULL AND p.author_id IS NOT NULL THEN search.post_vector(p) END AS words
        FROM feed.posts p TABLESAMPLE SYSTEM ((SELECT r.percent FROM rows r WHERE r.oid = 'feed.posts'::regclass))
        LIMIT looked_at
    ), messages AS MATERIALIZED (
        SELECT m.conversation_id, m.seq, m.id,
               CASE WHEN m.deleted_at IS NULL THEN search.message_vector(m) ELSE '' END AS words, m.deleted_at
        FROM websocket.messages m
             TABLESAMPLE SYSTEM ((SELECT r.percent FROM rows r WHERE r.oid = 'websocket.messages'::regclass))
        WHERE m.event IS NULL
        LIMIT looked_at
    )
    SELECT 'member', m.id, CASE WHEN s.member_id IS NULL THEN 'missing' ELSE 'stale' END
    FROM members m JOIN search.indexed i ON i.member_id = m.id LEFT JOIN search.members s ON s.member_id = m.id
    WHERE (s.called, s.whole, s.username, s.university, s.place, s.fame, s.is_open, cardinality(s.tokens))
          IS DISTINCT FROM
          (i.called, i.whole, i.username, i.university, i.place, i.fame, i.is_open, cardinality(i.tokens))
    UNION ALL
    SELECT 'post', p.id, CASE WHEN w.post_id IS NULL THEN 'missing' WHEN p.words IS NULL THEN 'left over' ELSE 'stale' END
    FROM posts p LEFT JOIN feed.post_words w ON w.post_id = p.id
    WHERE w.words IS DISTINCT FROM p.words
    UNION ALL
    SELECT 'message', m.id,
           CASE WHEN w.seq IS NULL THEN 'missing' WHEN m.deleted_at IS NOT NULL THEN 'left over' ELSE 'stale' END
    FROM messages m
    JOIN websocket.indexed_messages i ON i.conversation_id = m.conversation_id AND m.seq <= i.seq
    LEFT JOIN websocket.message_words w ON w.conversation_id = m.conversation_id AND w.seq = m.seq
    -- Of one that was deleted before it was indexed, there is no row.
    WHERE w.words IS DISTINCT FROM m.words AND NOT (w.seq IS NULL AND m.deleted_at IS NOT NULL)
$$;
REVOKE ALL ON FUNCTION search.index_faults FROM public;
GRANT USAGE ON SCHEMA search TO chitlaq_ops;
GRANT EXECUTE ON FUNCTION search.index_faults TO chitlaq_ops;
