-- Search finds the mistyped names that it missed, and tells nobody what they may not see.

-- Of the words that share a key with a mistyped one, the nearest are compared, not the most used: among 50,000 words, 60
-- used ones crowded out the one that was meant. And who has one of the nearest is ranked, whoever else there is.

CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;

-- As before, but those that share a key come nearest first: an edit away from a beginning, with a letter more, less, or
-- another; then letters that changed places, which this distance takes for two edits, but which are the same letters. So up
-- to twice as many edits are let through as search allows.
CREATE OR REPLACE FUNCTION search.words_like(typed text[], keys text[])
RETURNS TABLE (number bigint, word text, uses integer, is_beginning boolean)
LANGUAGE plpgsql STABLE ROWS 60 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT t.number, w.word, w.uses, w.is_beginning
    FROM unnest(words_like.typed, words_like.keys) WITH ORDINALITY t (beginning, shared, number)
    CROSS JOIN LATERAL (SELECT length(t.beginning) AS letters, CASE WHEN length(t.beginning) < 8 THEN 2 ELSE 4 END AS most) l
    CROSS JOIN LATERAL (
        (SELECT w.word, w.uses, true AS is_beginning
         FROM search.words w
         WHERE w.word >= t.beginning AND w.word < t.beginning || U&'\+10FFFF'
         ORDER BY w.word = t.beginning DESC, w.uses DESC, w.word LIMIT 24)
        UNION ALL
        (SELECT n.word, n.uses, false
         FROM (SELECT w.word, w.uses, left(w.word, l.letters) AS begun,
                      CASE WHEN public.levenshtein_less_equal(t.beginning, left(w.word, l.letters + 1), 1) <= 1
                             OR public.levenshtein_less_equal(t.beginning, left(w.word, l.letters - 1), 1) <= 1 THEN 1
                           ELSE public.levenshtein_less_equal(t.beginning, left(w.word, l.letters), l.most) END AS apart
               FROM search.words w
               WHERE w.keys && t.shared::integer[]
               OFFSET 0) n
         WHERE n.apart <= l.most
         ORDER BY n.apart, translate(n.begun, t.beginning, '') <> '', n.uses DESC, n.word LIMIT 60)
    ) w;
END
$$;

-- As before, but those who have a token of `first` are also read from the best known on, and have one of each group.
CREATE OR REPLACE FUNCTION search.candidates(
    viewer uuid, first integer[], a integer[], b integer[], c integer[], are_many boolean, wanted integer,
    near integer[], begins_a text[], begins_b text[], begins_c text[]
) RETURNS SETOF search.members
LANGUAGE plpgsql STABLE ROWS 30 SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    found search.members[] := '{}';
    steps constant integer[] := search.steps();
    step integer;
    own_place integer;
BEGIN
    IF b IS NULL AND NOT are_many THEN
        RETURN QUERY
        SELECT s.* FROM search.members s WHERE s.tokens && a
        ORDER BY first IS NOT NULL AND s.tokens && first DESC, s.fame DESC, s.member_id LIMIT wanted;
        RETURN;
    ELSIF NOT are_many THEN
        RETURN QUERY
        SELECT s.* FROM search.members s WHERE s.tokens && a AND s.tokens && b AND s.tokens && c
        ORDER BY s.fame DESC, s.member_id LIMIT wanted;
        RETURN;
    END IF;
    IF first IS NOT NULL THEN
        FOR fame_from IN REVERSE 4..0 LOOP
            step := steps[fame_from + 1];
            found := found || ARRAY(
                SELECT s FROM search.members s
                WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(first) t) AND s.fame = fame_from
                  AND (b IS NULL OR s.tokens && b) AND (c IS NULL OR s.tokens && c)
                LIMIT wanted - cardinality(found)
            );
            EXIT WHEN cardinality(found) >= wanted;
        END LOOP;
    END IF;
    IF cardinality(found) < wanted THEN
        FOR fame_from IN REVERSE 4..0 LOOP
            step := steps[fame_from + 1];
            found := found || ARRAY(
                SELECT s FROM search.members s
                WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(a) t)
                  AND s.tokens && ARRAY(SELECT t # step FROM unnest(coalesce(b, a)) t)
                  AND s.tokens && ARRAY(SELECT t # step FROM unnest(coalesce(c, a)) t)
                  AND s.fame = fame_from
                  AND (first IS NULL OR NOT s.tokens && first)
                LIMIT wanted - cardinality(found)
            );
            EXIT WHEN cardinality(found) >= wanted;
        END LOOP;
    END IF;
    IF cardinality(found) < wanted THEN
        RETURN QUERY SELECT f.* FROM unnest(found) f;
        RETURN;
    END IF;
    SELECT s.place INTO own_place FROM search.members s WHERE s.member_id = viewer;
    RETURN QUERY
    SELECT DISTINCT ON (f.member_id) f.*
    FROM unnest(
        found
        || ARRAY(
            SELECT s FROM (SELECT p.followed_id FROM feed.follow_pairs p WHERE p.follower_id = viewer LIMIT 500) p
            JOIN search.members s ON s.member_id = p.followed_id
            WHERE s.called LIKE ANY (begins_a)
              AND (begins_b IS NULL OR s.called LIKE ANY (begins_b))
              AND (begins_c IS NULL OR s.called LIKE ANY (begins_c))
        )
        || ARRAY(
            SELECT s FROM search.members s
            WHERE s.tokens && ARRAY(SELECT t # own_place FROM unnest(near) t)
              AND s.called LIKE ANY (begins_a)
              AND (begins_b IS NULL OR s.called LIKE ANY (begins_b))
              AND (begins_c IS NULL OR s.called LIKE ANY (begins_c))
            LIMIT wanted / 2
        )
    ) f;
END
$$;

-- Whom a post answers is known to those who may read what it answers: for others, its words are without that mark.
CREATE FUNCTION feed.words_shown_to(viewer uuid, answered uuid, words tsvector) RETURNS tsvector
LANGUAGE sql STABLE
AS $$
    SELECT CASE
        WHEN answered IS NULL OR EXISTS (SELECT FROM feed.permitted_posts(viewer) r WHERE r.id = answered) THEN words
        ELSE ts_delete(words, ARRAY(SELECT '@t' || p.author_id FROM feed.posts p
                                    WHERE p.id = answered AND p.author_id IS NOT NULL))
    END
$$;

-- As before, but `to:` tells nobody whom a post answers that they may not read; and points are reckoned as floating-point
-- numbers: decimal ones took a quarter of the search's time.
CREATE OR REPLACE FUNCTION feed.posts_found(
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
    names_the_answered constant boolean := strpos(concat(wanted, checked), '''@t') > 0;
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
        FROM (SELECT m.* FROM matching m WHERE checked IS NULL OR m.words @@ checked OR names_the_answered OFFSET 0) m
        CROSS JOIN LATERAL (SELECT r.* FROM feed.permitted_posts(viewer) r WHERE r.id = m.post_id OFFSET 0) r
        WHERE NOT names_the_answered OR (
            SELECT (wanted = '' OR s.words @@ wanted) AND (checked IS NULL OR s.words @@ checked)
            FROM (SELECT feed.words_shown_to(viewer, r.reply_to, m.words) AS words OFFSET 0) s
        )
        LIMIT considered + 1
    ),
    ranked AS (
        SELECT h.post_id,
               CASE WHEN by_time THEN 0 ELSE
                   coalesce((SELECT sum(CASE WHEN h.words @@ e.exact THEN 3 WHEN h.words @@ e.part THEN 2 ELSE 0 END)
                             FROM unnest(parts, exact) e (part, exact)), 0)
                   + CASE WHEN h.words @@ whole THEN 3 ELSE 0 END
                   -- As one entry of the index that has all of the viewer's together.
                   + CASE WHEN (SELECT true FROM feed.follows f WHERE f.follower_id = viewer
                                AND f.followed_id BETWEEN h.author_id AND h.author_id) THEN 2 ELSE 0 END
                   + least(3, 0.5 * ln(1 + h.liked::double precision) / ln(2::double precision))
                   + 2 / (1 + greatest(0, date_part('epoch', now() - coalesce(uuid_extract_timestamp(h.post_id), now())))
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

-- As before, but a group is named by what it is called only to those who take part: who left does not see its name.
CREATE OR REPLACE FUNCTION websocket.conversations_named(viewer uuid, names text[]) RETURNS TABLE (named text, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT n, c.id
    FROM websocket.readable_conversations(viewer) c
    LEFT JOIN feed.member_cards o ON o.id = CASE c.lower_id WHEN viewer THEN c.upper_id ELSE c.lower_id END
    LEFT JOIN websocket.named_groups g ON g.account_id = viewer AND g.id = c.id
    CROSS JOIN unnest(names) n
    WHERE c.id::text = n OR o.username = lower(n)
       OR search.folded(n) <> '' AND strpos(search.folded(g.name), search.folded(n)) > 0
$$;

-- When a member last deleted of their history, or changed whether it is kept: what they searched for before, and what a
-- process has not written yet, is not kept.
ALTER TABLE search.privacy ADD COLUMN forgotten_at timestamptz NOT NULL DEFAULT '-infinity';

-- Tags are counted by a general plan: each was planned anew for each letter that somebody types into the box of search.
ALTER FUNCTION feed.tags_beginning SET plan_cache_mode = force_generic_plan;

-- Groups that the viewer takes part in with a word that begins with a folded text (escaped for LIKE), and searches of theirs
-- that begin so, the latest of each. Indexes: participants_by_account, history_by_account.
CREATE FUNCTION search.own_suggestions(viewer uuid, beginning text, wanted integer) RETURNS TABLE (id uuid, text text)
LANGUAGE plpgsql STABLE ROWS 6 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    (SELECT g.id, g.name
     FROM (SELECT n.* FROM websocket.named_groups n WHERE n.account_id = viewer ORDER BY n.last_at DESC LIMIT 100) g
     WHERE ' ' || search.folded(g.name) LIKE '% ' || beginning || '%'
     ORDER BY g.last_at DESC LIMIT wanted)
    UNION ALL
    (SELECT NULL, h.text
     FROM search.history h
     WHERE h.account_id = viewer AND h.folded LIKE beginning || '%'
     ORDER BY h.id DESC LIMIT wanted);
END
$$;
