-- Who is called just what was typed is found, however many better known members' names begin so (docs/search.md).

-- The best known of each whole name, and whose a username is.
CREATE INDEX members_by_whole ON search.members (whole, fame);
CREATE INDEX members_by_username ON search.members (username);

-- Members with a token of each of three groups (the second and third are null if there is one): at most `wanted`, and of
-- more, also those whom the viewer follows, and some of the same department. If many have them, they are read by steps of
-- fame, the best known first. These come before others in any case: who has this whole name or username; and, of one
-- group, who has a token of `first` (null: none), `first_most` at most, which is a name that `first_called` describes.
-- The name of each group begins as one of its patterns says (null: any); `near` are the first group's shortest beginnings.
-- What the version before this one calls has fewer arguments, and goes with a later version.
CREATE FUNCTION search.candidates(
    viewer uuid, whole_name integer, own_username integer, first integer[], first_called text[], first_most integer,
    a integer[], b integer[], c integer[], are_many boolean, wanted integer,
    near integer[], begins_a text[], begins_b text[], begins_c text[]
) RETURNS SETOF search.members
LANGUAGE plpgsql STABLE ROWS 30 SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    found search.members[];
    rest search.members[];
    seen uuid[];
    steps constant integer[] := search.steps();
    step integer;
    own_place integer;
BEGIN
    IF b IS NULL AND NOT are_many THEN
        found := ARRAY(
            SELECT s FROM search.members s WHERE s.tokens && a
            ORDER BY s.whole = whole_name OR s.username = own_username DESC, s.called LIKE ANY (first_called) DESC,
                     s.fame DESC, s.active_on DESC NULLS LAST, s.member_id LIMIT wanted
        );
    ELSIF NOT are_many THEN
        found := ARRAY(
            SELECT s FROM search.members s WHERE s.tokens && a AND s.tokens && b AND s.tokens && c
            ORDER BY s.whole = whole_name OR s.username = own_username DESC,
                     s.fame DESC, s.active_on DESC NULLS LAST, s.member_id LIMIT wanted
        );
    ELSE
        found := ARRAY(
            (SELECT s FROM search.members s WHERE s.whole = whole_name ORDER BY s.fame DESC LIMIT wanted)
            UNION ALL
            (SELECT s FROM search.members s WHERE s.username = own_username AND s.whole <> whole_name)
        );
        seen := ARRAY(SELECT f.member_id FROM unnest(found) f);
        IF first IS NOT NULL AND cardinality(found) < first_most THEN
            -- Of few, all; only of many, it matters who is best known.
            rest := ARRAY(
                SELECT s FROM search.members s WHERE s.tokens && first AND s.member_id <> ALL (seen)
                LIMIT first_most - cardinality(found)
            );
            IF cardinality(found) + cardinality(rest) >= first_most THEN
                rest := '{}';
                FOR fame_from IN REVERSE 4..0 LOOP
                    step := steps[fame_from + 1];
                    rest := rest || ARRAY(
                        SELECT s FROM search.members s
                        WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(first) t)
                          AND s.fame = fame_from AND s.member_id <> ALL (seen)
                        LIMIT first_most - cardinality(found) - cardinality(rest)
                    );
                    EXIT WHEN cardinality(found) + cardinality(rest) >= first_most;
                END LOOP;
            END IF;
            found := found || rest;
            seen := ARRAY(SELECT f.member_id FROM unnest(found) f);
        END IF;
        FOR fame_from IN REVERSE 4..0 LOOP
            EXIT WHEN cardinality(found) >= wanted;
            step := steps[fame_from + 1];
            IF b IS NULL THEN
                found := found || ARRAY(
                    SELECT s FROM search.members s
                    WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(a) t)
                      AND s.fame = fame_from AND s.member_id <> ALL (seen)
                    LIMIT wanted - cardinality(found)
                );
            ELSE
                found := found || ARRAY(
                    SELECT s FROM search.members s
                    WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(a) t)
                      AND s.tokens && ARRAY(SELECT t # step FROM unnest(b) t)
                      AND s.tokens && ARRAY(SELECT t # step FROM unnest(c) t)
                      AND s.fame = fame_from AND s.member_id <> ALL (seen)
                    LIMIT wanted - cardinality(found)
                );
            END IF;
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

-- As before, but the group that is called just so comes first, then those that have it as a word: more recent ones whose
-- names begin so do not hide it.
CREATE OR REPLACE FUNCTION search.own_suggestions(viewer uuid, beginning text, wanted integer)
RETURNS TABLE (id uuid, text text)
LANGUAGE plpgsql STABLE ROWS 6 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    (SELECT g.id, g.name
     FROM (SELECT n.id, n.name, n.last_at, ' ' || search.folded(n.name) || ' ' AS called
           FROM (SELECT g.* FROM websocket.named_groups g
                 WHERE g.account_id = viewer ORDER BY g.last_at DESC LIMIT 100) n
           OFFSET 0) g
     WHERE g.called LIKE '% ' || beginning || '%'
     ORDER BY g.called LIKE ' ' || beginning || ' ' DESC, g.called LIKE '% ' || beginning || ' %' DESC, g.last_at DESC
     LIMIT wanted)
    UNION ALL
    (SELECT NULL, h.text
     FROM search.history h
     WHERE h.account_id = viewer AND h.folded LIKE beginning || '%'
     ORDER BY h.id DESC LIMIT wanted);
END
$$;

-- As before, but the id of a conversation may be written in capitals.
CREATE OR REPLACE FUNCTION websocket.conversations_named(viewer uuid, names text[]) RETURNS TABLE (named text, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT n, c.id
    FROM websocket.readable_conversations(viewer) c
    LEFT JOIN feed.member_cards o ON o.id = CASE c.lower_id WHEN viewer THEN c.upper_id ELSE c.lower_id END
    LEFT JOIN websocket.named_groups g ON g.account_id = viewer AND g.id = c.id
    CROSS JOIN unnest(names) n
    WHERE c.id::text = lower(n) OR o.username = lower(n)
       OR search.folded(n) <> '' AND strpos(search.folded(g.name), search.folded(n)) > 0
$$;
