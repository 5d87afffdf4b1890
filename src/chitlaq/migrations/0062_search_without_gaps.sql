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
