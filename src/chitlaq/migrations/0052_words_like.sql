-- Words that a typed one may mean, planned once: a statement of its own was planned anew for each search, since PostgreSQL
-- takes a plan for the values at hand for cheaper. Planning took half of its time (docs/search.md).

-- For each of the typed words: words that begin with it, and those that share a key with it (`keys`, an array as text, or
-- null); the most used first.
CREATE FUNCTION search.words_like(typed text[], keys text[])
RETURNS TABLE (number bigint, word text, uses integer, is_beginning boolean)
LANGUAGE plpgsql STABLE ROWS 60 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT t.number, w.word, w.uses, w.is_beginning
    FROM unnest(words_like.typed, words_like.keys) WITH ORDINALITY t (beginning, shared, number)
    CROSS JOIN LATERAL (
        (SELECT w.word, w.uses, true AS is_beginning
         FROM search.words w
         WHERE w.word >= t.beginning AND w.word < t.beginning || U&'\+10FFFF'
         ORDER BY w.word = t.beginning DESC, w.uses DESC, w.word LIMIT 24)
        UNION ALL
        (SELECT w.word, w.uses, false
         FROM search.words w
         WHERE w.keys && t.shared::integer[]
         ORDER BY w.uses DESC, w.word LIMIT 60)
    ) w;
END
$$;
