-- Messages are found by what they say, as posts are (docs/search.md).

CREATE TABLE websocket.message_words (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    message_id uuid NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (conversation_id, seq),
    FOREIGN KEY (conversation_id, seq) REFERENCES websocket.messages ON DELETE CASCADE
);
GRANT SELECT, INSERT, UPDATE, DELETE ON websocket.message_words TO chitlaq_websocket;

-- What is stored of a message. Of its marks, @c is the conversation, @f the sender.
CREATE FUNCTION search.message_vector(m websocket.messages) RETURNS tsvector
LANGUAGE sql STABLE
RETURN (
    SELECT search.vector(
        f.folded,
        search.blocks_of(search.hour_of(m.id, m.sent_at))
        || ('@c' || m.conversation_id)
        || CASE WHEN m.sender_id IS NOT NULL THEN ARRAY['@f' || m.sender_id] ELSE '{}' END
        || CASE WHEN m.has_media THEN ARRAY['@picture'] ELSE '{}' END
        || search.text_marks(f.folded)
    )
    FROM (SELECT search.folded(m.text) AS folded) f
);

-- Up to which message of a conversation all are in the index. Those after it are looked at one by one when they are
-- searched for: so they are found at once, and who sends one does not wait until its words are in an index, which takes
-- ten times as long as to store it.
CREATE TABLE websocket.indexed_messages (
    conversation_id uuid PRIMARY KEY REFERENCES websocket.conversations ON DELETE CASCADE,
    seq bigint NOT NULL CHECK (seq > 0)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON websocket.indexed_messages TO chitlaq_websocket;

-- Index the next messages, of conversations in which one was sent since a moment, or of all; returns how many. Messages
-- of a conversation are committed in the order of their numbers.
CREATE FUNCTION websocket.index_messages(since timestamptz, wanted integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    one record;
    until bigint;
    step integer;
    done integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('websocket.index_messages', 0)) THEN
        RETURN 0;
    END IF;
    FOR one IN
        SELECT c.id, coalesce(i.seq, 0) AS seq
        FROM (SELECT a.id FROM websocket.conversations a WHERE since IS NULL
              UNION ALL
              SELECT DISTINCT m.conversation_id FROM websocket.messages m WHERE m.sent_at >= since) r
        JOIN websocket.conversations c ON c.id = r.id
        LEFT JOIN websocket.indexed_messages i ON i.conversation_id = c.id
        WHERE c.last_seq > coalesce(i.seq, 0)
    LOOP
        SELECT max(m.seq), count(*) INTO until, step
        FROM (SELECT m.seq FROM websocket.messages m WHERE m.conversation_id = one.id AND m.seq > one.seq
              ORDER BY m.seq LIMIT wanted - done) m;
        CONTINUE WHEN step = 0;
        -- What is edited or deleted meanwhile is there already.
        INSERT INTO websocket.message_words (conversation_id, seq, message_id, words)
        SELECT m.conversation_id, m.seq, m.id, search.message_vector(m) FROM websocket.messages m
        WHERE m.conversation_id = one.id AND m.seq > one.seq AND m.seq <= until
          AND m.event IS NULL AND m.deleted_at IS NULL
        ON CONFLICT DO NOTHING;
        INSERT INTO websocket.indexed_messages (conversation_id, seq) VALUES (one.id, until)
        ON CONFLICT (conversation_id) DO UPDATE SET seq = excluded.seq;
        done := done + step;
        EXIT WHEN done >= wanted;
    END LOOP;
    RETURN done;
END
$$;

-- In the transaction that edits or deletes a message. Of a deleted one a row without words remains, so that whoever
-- indexes it at that moment from what it said does not.
CREATE FUNCTION search.follow_message() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    -- Who deletes an account takes its conversations along: then the message is no longer there.
    INSERT INTO websocket.message_words (conversation_id, seq, message_id, words)
    SELECT NEW.conversation_id, NEW.seq, NEW.id,
           CASE WHEN NEW.deleted_at IS NULL THEN search.message_vector(NEW) ELSE '' END
    FROM websocket.messages m WHERE m.conversation_id = NEW.conversation_id AND m.seq = NEW.seq
    ON CONFLICT (conversation_id, seq) DO UPDATE SET words = excluded.words;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION websocket.index_messages, search.follow_message FROM public;
GRANT EXECUTE ON FUNCTION websocket.index_messages TO chitlaq_search;
CREATE TRIGGER search_follows_changed AFTER UPDATE OF text, deleted_at, has_media, sender_id ON websocket.messages
FOR EACH ROW
WHEN ((OLD.text, OLD.deleted_at, OLD.has_media, OLD.sender_id)
      IS DISTINCT FROM (NEW.text, NEW.deleted_at, NEW.has_media, NEW.sender_id))
EXECUTE FUNCTION search.follow_message();

-- Index all messages from nothing, with an index that is built at once. Nobody writes meanwhile.
CREATE FUNCTION search.index_messages() RETURNS void
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
    CREATE INDEX message_words_by_word ON websocket.message_words USING gin (words) WITH (gin_pending_list_limit = 64);
END
$$;
SELECT search.index_messages();

-- The conversations of which a member may read something: the thousand that were last written in.
CREATE FUNCTION websocket.readable_conversations(viewer uuid) RETURNS SETOF websocket.conversations
LANGUAGE sql STABLE
AS $$
    SELECT c.*
    FROM websocket.participants p JOIN websocket.conversations c ON c.id = p.conversation_id
    WHERE p.account_id = viewer AND p.state <> 'invited'
    ORDER BY c.last_at DESC LIMIT 1000
$$;

-- What websocket publishes to search: messages that match and that the member may read, as for `feed.posts_found`: those
-- of conversations that they take or took part in, from the first to the last that they may read; not those of whom
-- they block, which are folded for them; and of a conversation that they left, none by what it was edited to since.
-- Who has few messages in all looks at those with a word at once, others from the latest on.
CREATE FUNCTION websocket.messages_found(
    viewer uuid, wanted tsquery, checked tsquery, parts tsquery[], exact tsquery[], whole tsquery, newest uuid,
    oldest uuid, by_time boolean, considered integer, examined integer, after uuid, skipped integer, shown integer
)
RETURNS TABLE (
    id uuid, conversation_id uuid, seq bigint, kind text, name text, username text, display_name text, avatar_url text,
    other_username text, other_display_name text, other_avatar_url text, text text, has_media boolean,
    sent_at timestamptz, edited_at timestamptz, points double precision, found integer, oldest_found uuid,
    is_cut boolean, is_by_time boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = '' SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    own tsquery;
    messages bigint;
    first timestamptz;
    blocks text[] := ARRAY[NULL];
    -- Of a conversation, the latest so many that are not in the index yet are looked at.
    not_indexed constant integer := 200;
    blocked constant uuid[] := ARRAY(SELECT b.blocked_id FROM feed.block_pairs b WHERE b.blocker_id = viewer);
BEGIN
    SELECT string_agg(quote_literal('@c' || c.id), ' | ')::tsquery, sum(c.last_seq), min(c.created_at)
    INTO own, messages, first
    FROM websocket.readable_conversations(viewer) c;
    IF messages > 20000 THEN
        blocks := search.blocks_between(
            greatest(search.hour_of(oldest, first), search.hour_of(NULL, first)),
            least(search.hour_of(newest, now() + interval '1 hour'), search.hour_of(NULL, now() + interval '1 hour'))
        );
    END IF;
    RETURN QUERY
    WITH matching AS (
        (SELECT t.conversation_id, t.seq, t.message_id, t.words
         FROM (SELECT m.conversation_id, m.seq, m.id AS message_id, search.message_vector(m) AS words
               FROM websocket.readable_conversations(viewer) c
               LEFT JOIN websocket.indexed_messages i ON i.conversation_id = c.id
               JOIN websocket.messages m
                 ON m.conversation_id = c.id AND m.seq > greatest(coalesce(i.seq, 0), c.last_seq - not_indexed)
               WHERE c.last_seq > coalesce(i.seq, 0) AND m.event IS NULL AND m.deleted_at IS NULL
                 AND (newest IS NULL OR m.id < newest) AND (oldest IS NULL OR m.id >= oldest)
                 AND NOT EXISTS (SELECT FROM websocket.message_words w
                                 WHERE w.conversation_id = m.conversation_id AND w.seq = m.seq)
               OFFSET 0) t
         WHERE t.words @@ wanted OR wanted = ''
         ORDER BY t.message_id DESC)
        UNION ALL
        (SELECT h.conversation_id, h.seq, h.message_id, h.words
         FROM unnest(blocks) block
         CROSS JOIN LATERAL (
             SELECT w.* FROM websocket.message_words w
             WHERE w.words @@ (CASE WHEN block IS NULL THEN wanted ELSE wanted && quote_literal(block)::tsquery END
                               && own)
               AND (newest IS NULL OR w.message_id < newest) AND (oldest IS NULL OR w.message_id >= oldest)
             ORDER BY w.message_id DESC
         ) h)
        LIMIT examined
    ),
    hits AS MATERIALIZED (
        SELECT w.message_id, w.conversation_id, w.seq, w.words
        FROM (SELECT w.* FROM matching w WHERE checked IS NULL OR w.words @@ checked OFFSET 0) w
        CROSS JOIN LATERAL (
            SELECT FROM websocket.participants p
            JOIN websocket.messages m ON m.conversation_id = w.conversation_id AND m.seq = w.seq
            WHERE p.conversation_id = w.conversation_id AND p.account_id = viewer AND p.state <> 'invited'
              AND w.seq > p.after_seq AND (p.until_seq IS NULL OR w.seq <= p.until_seq)
              AND (p.state <> 'left' OR m.edited_at IS NULL OR m.edited_at <= p.since)
              AND m.deleted_at IS NULL AND (m.sender_id IS NULL OR m.sender_id <> ALL (blocked))
            OFFSET 0
        ) r
        LIMIT considered + 1
    ),
    ranked AS (
        SELECT h.message_id, h.conversation_id, h.seq,
               CASE WHEN by_time THEN 0 ELSE
                   coalesce((SELECT sum(CASE WHEN h.words @@ e.exact THEN 3 WHEN h.words @@ e.part THEN 2 ELSE 0 END)
                             FROM unnest(parts, exact) e (part, exact)), 0)
                   + CASE WHEN h.words @@ whole THEN 3 ELSE 0 END
                   + 2 / (1 + greatest(0, extract(epoch FROM now() - coalesce(uuid_extract_timestamp(h.message_id), now())))
                              / 2592000)
               END::double precision AS points
        FROM hits h
        ORDER BY h.message_id DESC
        LIMIT considered
    ),
    counted AS MATERIALIZED (
        SELECT k.*, count(*) OVER ()::integer AS found,
               first_value(k.message_id) OVER (ORDER BY k.message_id) AS oldest_found
        FROM ranked k
    ),
    page AS (
        SELECT k.* FROM counted k
        WHERE after IS NULL
           OR (k.points, k.message_id) < (SELECT o.points, o.message_id FROM counted o WHERE o.message_id = after)
        ORDER BY k.points DESC, k.message_id DESC
        OFFSET skipped LIMIT shown
    )
    SELECT k.message_id, k.conversation_id, k.seq, c.kind, c.name, s.username, s.display_name, s.avatar_url,
           o.username, o.display_name, o.avatar_url, m.text, coalesce(m.has_media, false), m.sent_at, m.edited_at,
           k.points, k.found, k.oldest_found,
           CASE WHEN (SELECT count(*) FROM hits) > considered THEN true
                ELSE (SELECT count(*) FROM matching) >= examined END,
           by_time
    FROM page k
    JOIN websocket.messages m ON m.conversation_id = k.conversation_id AND m.seq = k.seq
    JOIN websocket.conversations c ON c.id = k.conversation_id
    LEFT JOIN feed.member_cards s ON s.id = m.sender_id
    LEFT JOIN feed.member_cards o ON o.id = CASE c.lower_id WHEN viewer THEN c.upper_id ELSE c.lower_id END
    ORDER BY k.points DESC, k.message_id DESC;
END
$$;

-- The conversations that a member means by each of these texts: the id, a part of a group's name, or the other one's
-- username.
CREATE FUNCTION websocket.conversations_named(viewer uuid, names text[]) RETURNS TABLE (named text, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT n, c.id
    FROM websocket.readable_conversations(viewer) c
    LEFT JOIN feed.member_cards o ON o.id = CASE c.lower_id WHEN viewer THEN c.upper_id ELSE c.lower_id END
    CROSS JOIN unnest(names) n
    WHERE c.id::text = n OR o.username = lower(n)
       OR search.folded(n) <> '' AND strpos(search.folded(c.name), search.folded(n)) > 0
$$;
REVOKE ALL ON FUNCTION websocket.messages_found, websocket.conversations_named FROM public;
GRANT EXECUTE ON FUNCTION websocket.messages_found, websocket.conversations_named
TO chitlaq_search;

-- How far `chitlaq search reindex` came with texts: of a kind without a row, none is going on.
CREATE TABLE search.text_reindexing (
    kind text PRIMARY KEY CHECK (kind IN ('posts', 'messages')),
    -- Of the last post; or of the last message's conversation, with its number.
    id uuid NOT NULL,
    seq bigint NOT NULL
);

-- Index the next posts, and return how many; 0 at the end. Who edits or deletes one waits meanwhile.
CREATE FUNCTION search.reindex_posts(wanted integer) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    ids constant uuid[] := ARRAY(
        SELECT p.id FROM feed.posts p
        WHERE p.id > coalesce((SELECT r.id FROM search.text_reindexing r WHERE r.kind = 'posts'),
                              '00000000-0000-0000-0000-000000000000')
        ORDER BY p.id LIMIT wanted
        FOR NO KEY UPDATE
    );
BEGIN
    IF cardinality(ids) = 0 THEN
        DELETE FROM search.text_reindexing r WHERE r.kind = 'posts';
        RETURN 0;
    END IF;
    DELETE FROM feed.post_words w USING feed.posts p
    WHERE w.post_id = ANY (ids) AND p.id = w.post_id AND (p.deleted_at IS NOT NULL OR p.author_id IS NULL);
    INSERT INTO feed.post_words (post_id, words)
    SELECT p.id, search.post_vector(p) FROM feed.posts p
    WHERE p.id = ANY (ids) AND p.deleted_at IS NULL AND p.author_id IS NOT NULL
    ON CONFLICT (post_id) DO UPDATE SET words = excluded.words;
    INSERT INTO search.text_reindexing (kind, id, seq) VALUES ('posts', ids[cardinality(ids)], 0)
    ON CONFLICT (kind) DO UPDATE SET id = excluded.id;
    RETURN cardinality(ids);
END
$$;

-- The same for messages.
CREATE FUNCTION search.reindex_messages(wanted integer) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    start search.text_reindexing;
    ids uuid[];
    seqs bigint[];
BEGIN
    SELECT r.* INTO start FROM search.text_reindexing r WHERE r.kind = 'messages';
    SELECT array_agg(l.conversation_id ORDER BY l.conversation_id, l.seq),
           array_agg(l.seq ORDER BY l.conversation_id, l.seq)
    INTO ids, seqs
    FROM (SELECT m.conversation_id, m.seq FROM websocket.messages m
          WHERE (m.conversation_id, m.seq) > (coalesce(start.id, '00000000-0000-0000-0000-000000000000'),
                                              coalesce(start.seq, 0))
          ORDER BY m.conversation_id, m.seq LIMIT wanted
          FOR NO KEY UPDATE) l;
    IF ids IS NULL THEN
        DELETE FROM search.text_reindexing r WHERE r.kind = 'messages';
        RETURN 0;
    END IF;
    INSERT INTO websocket.message_words (conversation_id, seq, message_id, words)
    SELECT m.conversation_id, m.seq, m.id, CASE WHEN m.deleted_at IS NULL THEN search.message_vector(m) ELSE '' END
    FROM unnest(ids, seqs) l (conversation_id, seq) JOIN websocket.messages m USING (conversation_id, seq)
    WHERE m.event IS NULL
    ON CONFLICT (conversation_id, seq) DO UPDATE SET words = excluded.words;
    INSERT INTO search.text_reindexing (kind, id, seq)
    VALUES ('messages', ids[cardinality(ids)], seqs[cardinality(seqs)])
    ON CONFLICT (kind) DO UPDATE SET id = excluded.id, seq = excluded.seq;
    RETURN cardinality(ids);
END
$$;
