-- As before, but one word is looked up once: the same group of tokens three times took a tenth of a search by a beginning
-- that many names have. And `are_many` is about those who have a token of each group: a few are read at once, though each
-- word has many, and if there are more than are wanted after all, those near the viewer are added as well (docs/search.md).
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
        found := ARRAY(
            SELECT s FROM search.members s WHERE s.tokens && a
            ORDER BY first IS NOT NULL AND s.tokens && first DESC, s.fame DESC, s.member_id LIMIT wanted
        );
    ELSIF NOT are_many THEN
        found := ARRAY(
            SELECT s FROM search.members s WHERE s.tokens && a AND s.tokens && b AND s.tokens && c
            ORDER BY s.fame DESC, s.member_id LIMIT wanted
        );
    ELSIF first IS NOT NULL THEN
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
    IF are_many AND cardinality(found) < wanted THEN
        FOR fame_from IN REVERSE 4..0 LOOP
            step := steps[fame_from + 1];
            IF b IS NULL THEN
                found := found || ARRAY(
                    SELECT s FROM search.members s
                    WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(a) t)
                      AND s.fame = fame_from
                      AND (first IS NULL OR NOT s.tokens && first)
                    LIMIT wanted - cardinality(found)
                );
            ELSE
                found := found || ARRAY(
                    SELECT s FROM search.members s
                    WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(a) t)
                      AND s.tokens && ARRAY(SELECT t # step FROM unnest(b) t)
                      AND s.tokens && ARRAY(SELECT t # step FROM unnest(c) t)
                      AND s.fame = fame_from
                      AND (first IS NULL OR NOT s.tokens && first)
                    LIMIT wanted - cardinality(found)
                );
            END IF;
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
