-- Posts with rare words are looked up at once, not block by block: each look-up of a block costs as much as one of all
-- that has these words, if that is little. Arguments and rows are those of before.

CREATE TYPE feed.post_hit AS (post_id uuid, words tsvector, author_id uuid, liked integer);

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
    -- So many that match are few: they are read at once, if the latest day or more lets one expect no more of them. If
    -- there are more, this costs one look-up, and reading so many.
    few constant integer := 400;
    hours_in_all constant bigint := (SELECT sum(8 ^ substr(b, 2, 1)::integer) FROM unnest(blocks) b);
    hours_read bigint := 0;
    block text;
    may_be_few boolean := wanted <> '';
    are_all boolean := false;
    taken feed.post_words[];
    looked_at integer := 0;
    hits feed.post_hit[] := '{}';
BEGIN
    FOREACH block IN ARRAY blocks LOOP
        IF may_be_few AND hours_read >= 24 AND (looked_at + 1) * (hours_in_all - hours_read) / hours_read < few THEN
            may_be_few := false;
            taken := ARRAY(
                SELECT w FROM feed.post_words w
                WHERE w.words @@ wanted
                  AND (newest IS NULL OR w.post_id < newest) AND (oldest IS NULL OR w.post_id >= oldest)
                LIMIT few + 1
            );
            are_all := cardinality(taken) <= few;
        END IF;
        IF are_all THEN
            looked_at := 0;
            hits := '{}';
        ELSE
            taken := ARRAY(
                SELECT w FROM feed.post_words w
                WHERE w.words @@ (wanted && quote_literal(block)::tsquery)
                  AND (newest IS NULL OR w.post_id < newest) AND (oldest IS NULL OR w.post_id >= oldest)
                ORDER BY w.post_id DESC LIMIT examined - looked_at
            );
        END IF;
        IF cardinality(taken) > 0 THEN
            looked_at := looked_at + cardinality(taken);
            hits := hits || ARRAY(
                SELECT (m.post_id, m.words, r.author_id, r.likes_count + r.reposts_count)::feed.post_hit
                FROM (SELECT t.* FROM unnest(taken) t
                      WHERE checked IS NULL OR t.words @@ checked OR names_the_answered
                      ORDER BY t.post_id DESC) m
                CROSS JOIN LATERAL (SELECT r.* FROM feed.permitted_posts(viewer) r WHERE r.id = m.post_id OFFSET 0) r
                WHERE NOT names_the_answered OR (
                    SELECT (wanted = '' OR s.words @@ wanted) AND (checked IS NULL OR s.words @@ checked)
                    FROM (SELECT feed.words_shown_to(viewer, r.reply_to, m.words) AS words OFFSET 0) s
                )
                LIMIT considered + 1 - cardinality(hits)
            );
        END IF;
        EXIT WHEN are_all OR cardinality(hits) > considered OR looked_at >= examined;
        hours_read := hours_read + 8 ^ substr(block, 2, 1)::integer;
    END LOOP;
    IF cardinality(hits) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH ranked AS (
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
        FROM unnest(hits) h
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
           k.oldest_found, cardinality(hits) > considered OR looked_at >= examined, by_time
    FROM page k
    CROSS JOIN LATERAL (SELECT p.* FROM feed.readable_posts(viewer) p WHERE p.id = k.post_id OFFSET 0) p
    JOIN feed.posts t ON t.id = p.id
    JOIN feed.members a ON a.id = p.author_id
    ORDER BY k.points DESC, k.post_id DESC;
END
$$;
