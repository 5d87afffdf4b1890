-- What search keeps of texts, made in less time; and messages indexed in few, large steps (docs/search.md).

-- As before, without the work for signs that are not there.
CREATE OR REPLACE FUNCTION search.text_marks(folded text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    marks text[] := '{}';
BEGIN
    IF strpos(folded, '@') > 0 THEN
        marks := ARRAY(SELECT '@n' || r[1] FROM regexp_matches(folded, '(?<![[:alnum:]_])@([a-z0-9_]{3,30})', 'g') r);
    END IF;
    IF strpos(folded, '#') > 0 THEN
        marks := marks || ARRAY(
            SELECT '#' || r[1]
            FROM regexp_matches(folded COLLATE pg_c_utf8,
                                '(?<![[:alnum:]_])#((?:[^[:space:][:punct:][:cntrl:]]|_)+)', 'g') r
        );
    END IF;
    IF strpos(folded, '://') > 0 AND folded ~ 'https?://' THEN
        marks := marks || '@link'::text;
    END IF;
    RETURN marks;
END
$$;

-- A text as a tsvector: its words at their places, their forms without one, and marks. `search.forms` says of one word what
-- is put together here of all, several times as fast.
CREATE OR REPLACE FUNCTION search.vector(folded text, marks text[]) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    words text;
    placed tsvector;
BEGIN
    IF octet_length(folded) = char_length(folded) AND folded !~ '[a-z0-9]{41}|[0-9]e[0-9]' THEN
        -- Plain letters only, no long word, no 1e5: PostgreSQL's parser finds the same words as `search.text_words`,
        -- without the signs that it knows a meaning of.
        words := replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
            folded, '.', ' '), '-', ' '), '/', ' '), '@', ' '), '_', ' '), '&', ' '), '<', ' '), '+', ' '), ':', ' '),
            '~', ' ');
        placed := setweight(to_tsvector('pg_catalog.simple', words), 'A');
    ELSE
        SELECT coalesce(string_agg(w.word, ' '), ''),
               coalesce(string_agg('''' || w.word || ''':' || least(w.place, 16383) || 'A', ' '), '')::tsvector
        INTO words, placed
        FROM unnest(search.text_words(folded)) WITH ORDINALITY w (word, place);
    END IF;
    RETURN placed
        || strip(to_tsvector('pg_catalog.english', words))
        || strip(to_tsvector('pg_catalog.german', words))
        || strip(to_tsvector('pg_catalog.turkish', words))
        || array_to_tsvector(
            marks || ARRAY(SELECT '~' || left(w, 5) FROM unnest(tsvector_to_array(placed)) w WHERE length(w) >= 5)
        );
END
$$;

CREATE OR REPLACE FUNCTION search.message_vector(m websocket.messages) RETURNS tsvector
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    folded constant text := search.folded(m.text);
    marks text[] := search.blocks_of(search.hour_of(m.id, m.sent_at)) || ('@c' || m.conversation_id)
                    || search.text_marks(folded);
BEGIN
    IF m.sender_id IS NOT NULL THEN
        marks := marks || ('@f' || m.sender_id);
    END IF;
    IF m.has_media THEN
        marks := marks || '@picture'::text;
    END IF;
    RETURN search.vector(folded, marks);
END
$$;

-- Who indexes empties the pending list at the end of each step: so a word that many of its messages have is put into
-- the index once, and no search reads the list.
ALTER INDEX websocket.message_words_by_word SET (gin_pending_list_limit = 2048);

-- One row: all that was sent before this moment is in the index. Null: all conversations are looked at.
CREATE TABLE search.message_indexing (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    done_until timestamptz
);
INSERT INTO search.message_indexing DEFAULT VALUES;

DROP FUNCTION websocket.index_messages(timestamptz, integer);

-- Index the next messages, those that have waited longest first. Returns how many were indexed, and how many seconds the
-- first of the others has waited, null if none waits; no row if another process is at it. Messages of a conversation are
-- committed in the order of their numbers.
CREATE FUNCTION websocket.index_messages(wanted integer) RETURNS TABLE (indexed bigint, waiting_seconds double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    started constant timestamptz := clock_timestamp();
    since timestamptz;
    waiting_since timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('websocket.index_messages', 0)) THEN
        RETURN;
    END IF;
    -- What was sent before, and is committed only now.
    SELECT i.done_until - interval '10 seconds' INTO since FROM search.message_indexing i;
    WITH behind AS MATERIALIZED (
        SELECT c.id, c.last_seq, coalesce(i.seq, 0) AS seq, first.sent_at
        FROM (SELECT a.id FROM websocket.conversations a WHERE since IS NULL
              UNION ALL
              SELECT DISTINCT m.conversation_id FROM websocket.messages m WHERE m.sent_at >= since) r
        JOIN websocket.conversations c ON c.id = r.id
        LEFT JOIN websocket.indexed_messages i ON i.conversation_id = c.id
        CROSS JOIN LATERAL (
            SELECT m.sent_at FROM websocket.messages m WHERE m.conversation_id = c.id AND m.seq > coalesce(i.seq, 0)
            ORDER BY m.seq LIMIT 1
        ) first
        WHERE c.last_seq > coalesce(i.seq, 0)
    ),
    step AS MATERIALIZED (
        SELECT b.*, least(b.last_seq, b.seq + wanted - b.earlier) AS until
        FROM (SELECT b.*, sum(b.last_seq - b.seq) OVER (ORDER BY b.sent_at, b.id) - (b.last_seq - b.seq) AS earlier
              FROM behind b) b
        WHERE b.earlier < wanted
    ),
    words AS (
        -- What is edited or deleted meanwhile is there already.
        INSERT INTO websocket.message_words (conversation_id, seq, message_id, words)
        SELECT m.conversation_id, m.seq, m.id, search.message_vector(m)
        FROM step s JOIN websocket.messages m ON m.conversation_id = s.id AND m.seq > s.seq AND m.seq <= s.until
        WHERE m.event IS NULL AND m.deleted_at IS NULL
        ON CONFLICT DO NOTHING
    ),
    noted AS (
        INSERT INTO websocket.indexed_messages (conversation_id, seq) SELECT s.id, s.until FROM step s
        ON CONFLICT (conversation_id) DO UPDATE SET seq = excluded.seq
    )
    SELECT coalesce(sum(s.until - s.seq), 0), min(b.sent_at) FILTER (WHERE s.until IS DISTINCT FROM b.last_seq)
    INTO indexed, waiting_since
    FROM behind b LEFT JOIN step s ON s.id = b.id;
    IF indexed > 0 THEN
        PERFORM gin_clean_pending_list('websocket.message_words_by_word');
    END IF;
    IF indexed > 0 OR since IS NULL THEN
        UPDATE search.message_indexing SET done_until = coalesce(waiting_since, started);
    END IF;
    waiting_seconds := extract(epoch FROM clock_timestamp() - waiting_since);
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION websocket.index_messages FROM public;
GRANT EXECUTE ON FUNCTION websocket.index_messages TO chitlaq_search;

-- Index all messages from nothing, with an index that is built at once. Nobody writes meanwhile.
CREATE OR REPLACE FUNCTION search.index_messages() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    TRUNCATE websocket.message_words, websocket.indexed_messages;
    DROP INDEX IF EXISTS websocket.message_words_by_word;
    INSERT INTO websocket.message_words (conversation_id, seq, message_id, words)
    SELECT m.conversation_id, m.seq, m.id, search.message_vector(m) FROM websocket.messages m
    WHERE m.event IS NULL AND m.deleted_at IS NULL;
    INSERT INTO websocket.indexed_messages (conversation_id, seq)
    SELECT c.id, c.last_seq FROM websocket.conversations c WHERE c.last_seq > 0;
    UPDATE search.message_indexing SET done_until = now();
    CREATE INDEX message_words_by_word ON websocket.message_words USING gin (words) WITH (gin_pending_list_limit = 2048);
END
$$;

-- Of a picture that failed or was removed, null remains at its place: who reads the message is told that there was one.
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
           SELECT json_agg(CASE WHEN p.id IS NOT NULL
                                THEN json_build_array(p.id, p.width, p.height, p.alt, p.blurhash, p.has_still) END
                           ORDER BY o.position)
           FROM websocket.message_media o LEFT JOIN feed.picture_cards p ON p.id = o.media_id
           WHERE o.conversation_id = m.conversation_id AND o.seq = m.seq
       ) END AS media
FROM websocket.messages m
LEFT JOIN feed.member_cards c ON c.id = m.sender_id;
