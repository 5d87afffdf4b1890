-- A list of tags goes on after the last that was shown (docs/search.md): pages were all there was, and reach 10,000 deep.

-- What feed publishes to search: tags that begin so and that the viewer may see posts of, the most used first; with how
-- many such posts there are, counted up to a bound, and with the spelling of the latest. Those that are offset are left out,
-- and those up to `last`, which had `last_uses` (null: none).
CREATE FUNCTION feed.tags_beginning(viewer uuid, beginning text, bound integer, skipped integer, wanted integer,
                                    last text, last_uses integer)
RETURNS TABLE (tag text, spelling text, posts integer, uses integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    seen integer := 0;
BEGIN
    FOR tag, uses IN
        SELECT t.tag, t.uses FROM search.tags t
        WHERE t.folded >= beginning AND t.folded < beginning || U&'\+10FFFF'
          AND (last IS NULL
               OR (t.folded <> beginning, -t.uses, t.tag) > (search.folded(last) <> beginning, -last_uses, last))
        ORDER BY t.folded = beginning DESC, t.uses DESC, t.tag LIMIT skipped + 10 * wanted
    LOOP
        SELECT count(*), (array_agg(x.spelling))[1] INTO posts, spelling
        FROM (SELECT p.spelling
              FROM feed.post_tags p JOIN feed.permitted_posts(viewer) r ON r.id = p.post_id
              WHERE p.tag = tags_beginning.tag
              ORDER BY p.post_id DESC LIMIT bound) x;
        CONTINUE WHEN posts = 0;
        seen := seen + 1;
        CONTINUE WHEN seen <= skipped;
        RETURN NEXT;
        EXIT WHEN seen = skipped + wanted;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION feed.tags_beginning(uuid, text, integer, integer, integer, text, integer) FROM public;
GRANT EXECUTE ON FUNCTION feed.tags_beginning(uuid, text, integer, integer, integer, text, integer) TO chitlaq_search;

-- What the version before this one calls. It goes with a later version.
CREATE OR REPLACE FUNCTION feed.tags_beginning(viewer uuid, beginning text, bound integer, skipped integer, wanted integer)
RETURNS TABLE (tag text, spelling text, posts integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT t.tag, t.spelling, t.posts FROM feed.tags_beginning(viewer, beginning, bound, skipped, wanted, NULL, NULL) t
$$;
