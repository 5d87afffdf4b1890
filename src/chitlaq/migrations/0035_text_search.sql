-- Posts are found by what they say (docs/search.md): each has a tsvector of its words as they are written, folded, and
-- of their stems, with one GIN index. It changes in the transaction that changes the post.

-- Folded text is split into what is searched for: runs of letters and digits; in scripts that set no spaces, and of emoji,
-- each character, so that a part of a run is a phrase. `services/search/texts/words.py` splits in the same way.
CREATE FUNCTION search.text_words(folded text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT left(r[1], 40)
    FROM regexp_matches(
        folded COLLATE pg_c_utf8,
        '[\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u2600-\u27BF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF'
        '\U0001F000-\U0001FAFF]'
        '|[^[:space:][:punct:][:cntrl:]'
        '\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u2600-\u27BF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF'
        '\U0001F000-\U0001FAFF]+',
        'g'
    ) r
);

-- What else a folded word is found by: its stems in the languages that have a stemmer here, and its beginning, after a
-- sign that no word has. The language of a word or two that somebody types cannot be told, so all are looked for.
CREATE FUNCTION search.forms(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN length(word) < 3 OR word ~ '[0-9]' THEN '{}' ELSE
    pg_catalog.ts_lexize('pg_catalog.english_stem', word) || pg_catalog.ts_lexize('pg_catalog.german_stem', word)
    || pg_catalog.ts_lexize('pg_catalog.turkish_stem', word)
    || CASE WHEN length(word) >= 5 THEN ARRAY['~' || left(word, 5)] ELSE '{}' END
END;

-- Whether a folded word is one of those that nearly every text of a language has.
CREATE FUNCTION search.is_stop_word(word text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{}' IN (pg_catalog.ts_lexize('pg_catalog.english_stem', word), pg_catalog.ts_lexize('pg_catalog.german_stem', word),
                pg_catalog.ts_lexize('pg_catalog.turkish_stem', word));

-- The hour of an id, or else of a moment. Blocks of 1, 8, 64, 512 and 4096 hours have a name that is stored with what was
-- written in them: the latest are read first, and no more than are shown.
CREATE FUNCTION search.hour_of(id uuid, moment timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(extract(epoch FROM coalesce(uuid_extract_timestamp(id), moment)) / 3600)::integer;

CREATE FUNCTION search.blocks_of(hour integer) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['@0/' || hour, '@1/' || hour / 8, '@2/' || hour / 64, '@3/' || hour / 512, '@4/' || hour / 4096];

-- The fewest blocks that cover these hours, the latest first; small ones at the end, of which the first is looked at
-- most often.
CREATE FUNCTION search.blocks_between(oldest integer, newest integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    blocks text[] := '{}';
    hour integer := newest;
    level integer;
BEGIN
    WHILE hour >= oldest LOOP
        level := 0;
        -- A block ends with its last hour.
        WHILE level < 4 AND (hour + 1) % (8 ^ (level + 1))::integer = 0 LOOP
            level := level + 1;
        END LOOP;
        blocks := blocks || ('@' || level || '/' || hour / (8 ^ level)::integer);
        hour := hour - (8 ^ level)::integer;
    END LOOP;
    RETURN blocks;
END
$$;

-- A text as a tsvector: its words at their places, their forms without one, and marks. `search.forms` says of one word what
-- is put together here of all, several times as fast.
CREATE FUNCTION search.vector(folded text, marks text[]) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    words constant text[] := search.text_words(folded);
    joined constant text := array_to_string(words, ' ');
BEGIN
    RETURN (
        SELECT coalesce(string_agg(quote_literal(w.word) || ':' || least(w.place, 16383) || 'A', ' '), '')::tsvector
            || array_to_tsvector(
                coalesce(array_agg('~' || left(w.word, 5)) FILTER (WHERE length(w.word) >= 5), '{}')
                || tsvector_to_array(to_tsvector('pg_catalog.english', joined))
                || tsvector_to_array(to_tsvector('pg_catalog.german', joined))
                || tsvector_to_array(to_tsvector('pg_catalog.turkish', joined))
                || marks
            )
        FROM unnest(words) WITH ORDINALITY w (word, place)
    );
END
$$;

-- Marks of what is in a text itself: # tags, @n who is named, @link.
CREATE FUNCTION search.text_marks(folded text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN folded !~ '[#@]|://' THEN '{}' ELSE
    ARRAY(SELECT DISTINCT '@n' || r[1] FROM regexp_matches(folded, '(?<![[:alnum:]_])@([a-z0-9_]{3,30})', 'g') r)
    || ARRAY(SELECT DISTINCT '#' || r[1]
             FROM regexp_matches(folded COLLATE pg_c_utf8,
                                 '(?<![[:alnum:]_])#((?:[^[:space:][:punct:][:cntrl:]]|_)+)', 'g') r)
    || CASE WHEN folded ~ 'https?://' THEN ARRAY['@link'] ELSE '{}' END
END;

CREATE TABLE feed.post_words (
    post_id uuid PRIMARY KEY REFERENCES feed.posts ON DELETE CASCADE,
    words tsvector NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON feed.post_words TO chitlaq_feed;

-- What is stored of a post. Of its marks, @f is the author, @t whom it answers.
CREATE FUNCTION search.post_vector(p feed.posts) RETURNS tsvector
LANGUAGE sql STABLE
RETURN (
    SELECT search.vector(
        f.folded,
        search.blocks_of(search.hour_of(p.id, p.created_at))
        || ('@f' || p.author_id)
        || ARRAY(SELECT '@t' || o.author_id FROM feed.posts o WHERE o.id = p.reply_to AND o.author_id IS NOT NULL)
        || search.text_marks(f.folded)
        || CASE WHEN p.has_media THEN ARRAY['@picture'] ELSE '{}' END
        || CASE WHEN p.has_poll THEN ARRAY['@poll'] ELSE '{}' END
    )
    FROM (SELECT search.folded(concat_ws(
              E'\n', p.text, p.content_warning,
              CASE WHEN p.has_poll
                   THEN (SELECT array_to_string(q.options, E'\n') FROM feed.polls q WHERE q.post_id = p.id) END
          )) AS folded) f
);

-- In the transaction that changes a post, and as the owner: what deletes or edits posts knows nothing of search.
CREATE FUNCTION search.follow_post() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF NEW.deleted_at IS NOT NULL OR NEW.author_id IS NULL THEN
        DELETE FROM feed.post_words w WHERE w.post_id = NEW.id;
        -- Of an erased account no trace is left in what answers it.
        IF NEW.author_id IS NULL AND OLD.author_id IS NOT NULL THEN
            UPDATE feed.post_words w SET words = ts_delete(w.words, '@t' || OLD.author_id)
            FROM feed.posts r WHERE r.reply_to = NEW.id AND w.post_id = r.id;
        END IF;
    ELSE
        INSERT INTO feed.post_words (post_id, words) VALUES (NEW.id, search.post_vector(NEW))
        ON CONFLICT (post_id) DO UPDATE SET words = excluded.words;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION search.follow_post FROM public;
CREATE TRIGGER search_follows_new AFTER INSERT ON feed.posts
FOR EACH ROW EXECUTE FUNCTION search.follow_post();
CREATE TRIGGER search_follows_changed
AFTER UPDATE OF text, content_warning, deleted_at, author_id, has_media, has_poll ON feed.posts
FOR EACH ROW
WHEN ((OLD.text, OLD.content_warning, OLD.deleted_at, OLD.author_id, OLD.has_media, OLD.has_poll)
      IS DISTINCT FROM (NEW.text, NEW.content_warning, NEW.deleted_at, NEW.author_id, NEW.has_media, NEW.has_poll))
EXECUTE FUNCTION search.follow_post();

-- Index all posts from nothing, with an index that is built at once. Nobody writes meanwhile.
CREATE FUNCTION search.index_posts() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    TRUNCATE feed.post_words;
    DROP INDEX IF EXISTS feed.post_words_by_word;
    INSERT INTO feed.post_words (post_id, words)
    SELECT p.id, search.post_vector(p) FROM feed.posts p WHERE p.deleted_at IS NULL AND p.author_id IS NOT NULL;
    CREATE INDEX post_words_by_word ON feed.post_words USING gin (words) WITH (gin_pending_list_limit = 64);
END
$$;
SELECT search.index_posts();

-- The blocks in which something of these bounds may have been written, since the first.
CREATE FUNCTION search.blocks_within(oldest uuid, newest uuid, first uuid) RETURNS text[]
LANGUAGE sql STABLE
RETURN search.blocks_between(
    greatest(search.hour_of(coalesce(oldest, first), now()), search.hour_of(first, now())),
    -- An hour more for clocks that are ahead.
    least(search.hour_of(newest, now() + interval '1 hour'), search.hour_of(NULL, now() + interval '1 hour'))
);

-- What feed publishes to search: posts that match (`wanted` by the index, `checked` by their words: phrases, which the index
-- does not know) and that the viewer may read, with an id below `newest` and from `oldest` on. Of more than `considered`
-- the latest count, and of more than `examined` that the index finds, the rest is not looked at: so neither a word of
-- every other post, nor one of many that are not for the viewer, takes long. They are ordered by time, or by points: for
-- each of the `parts` 3 if it is written like that (`exact`), or else 2; 3 if all of it stands together (`whole`); for
-- following the author 2; for each doubling of likes and reposts a half, 3 at most; and for being new, up to 2. With
-- `after`, the list goes on after that post.
CREATE FUNCTION feed.posts_found(
    viewer uuid, wanted tsquery, checked tsquery, parts tsquery[], exact tsquery[], whole tsquery, newest uuid,
    oldest uuid, by_time boolean, considered integer, examined integer, after uuid, skipped integer, shown integer
)
RETURNS TABLE (
    id uuid, username text, display_name text, avatar_url text, text text, content_warning text,
    visibility text, reply_to uuid, has_media boolean, has_poll boolean, likes integer, replies integer, reposts integer,
    created_at timestamptz, edited_at timestamptz, points double precision, found integer, oldest_found uuid,
    is_cut boolean, is_by_time boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = '' SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    blocks constant text[] := search.blocks_within(
        oldest, newest, (SELECT w.post_id FROM feed.post_words w ORDER BY w.post_id LIMIT 1)
    );
BEGIN
    RETURN QUERY
    WITH matching AS (
        SELECT h.post_id, h.words
        FROM unnest(blocks) block
        CROSS JOIN LATERAL (
            SELECT w.post_id, w.words FROM feed.post_words w
            WHERE w.words @@ (wanted && quote_literal(block)::tsquery)
              AND (newest IS NULL OR w.post_id < newest) AND (oldest IS NULL OR w.post_id >= oldest)
            ORDER BY w.post_id DESC
        ) h
        LIMIT examined
    ),
    hits AS MATERIALIZED (
        SELECT m.post_id, m.words, r.author_id, r.likes_count + r.reposts_count AS liked
        FROM (SELECT m.* FROM matching m WHERE checked IS NULL OR m.words @@ checked OFFSET 0) m
        CROSS JOIN LATERAL (SELECT r.* FROM feed.permitted_posts(viewer) r WHERE r.id = m.post_id OFFSET 0) r
        LIMIT considered + 1
    ),
    ranked AS (
        SELECT h.post_id,
               CASE WHEN by_time THEN 0 ELSE
                   coalesce((SELECT sum(CASE WHEN h.words @@ e.exact THEN 3 WHEN h.words @@ e.part THEN 2 ELSE 0 END)
                             FROM unnest(parts, exact) e (part, exact)), 0)
                   + CASE WHEN h.words @@ whole THEN 3 ELSE 0 END
                   + CASE WHEN (SELECT true FROM feed.follows f
                                WHERE f.follower_id = viewer AND f.followed_id = h.author_id) THEN 2 ELSE 0 END
                   + least(3, 0.5 * log(2, 1 + h.liked))
                   + 2 / (1 + greatest(0, extract(epoch FROM now() - coalesce(uuid_extract_timestamp(h.post_id), now())))
                              / 2592000)
               END::double precision AS points
        FROM hits h
        ORDER BY h.post_id DESC
        LIMIT considered
    ),
    counted AS MATERIALIZED (
        SELECT k.*, count(*) OVER ()::integer AS found, first_value(k.post_id) OVER (ORDER BY k.post_id) AS oldest_found
        FROM ranked k
    ),
    page AS (
        SELECT k.* FROM counted k
        WHERE after IS NULL OR (k.points, k.post_id) < (SELECT o.points, o.post_id FROM counted o WHERE o.post_id = after)
        ORDER BY k.points DESC, k.post_id DESC
        OFFSET skipped LIMIT shown
    )
    SELECT p.id, a.username, a.display_name, a.avatar_url, t.text, t.content_warning, p.visibility, p.reply_to,
           p.has_media, p.has_poll, p.likes, p.replies, p.reposts, p.created_at, t.edited_at, k.points, k.found,
           k.oldest_found,
           -- Counted only where all of them were looked at in any case.
           CASE WHEN (SELECT count(*) FROM hits) > considered THEN true
                ELSE (SELECT count(*) FROM matching) >= examined END,
           by_time
    FROM page k
    CROSS JOIN LATERAL (SELECT p.* FROM feed.readable_posts(viewer) p WHERE p.id = k.post_id OFFSET 0) p
    JOIN feed.posts t ON t.id = p.id
    JOIN feed.members a ON a.id = p.author_id
    ORDER BY k.points DESC, k.post_id DESC;
END
$$;

REVOKE ALL ON FUNCTION feed.posts_found FROM public;
GRANT EXECUTE ON FUNCTION feed.posts_found TO chitlaq_search;
