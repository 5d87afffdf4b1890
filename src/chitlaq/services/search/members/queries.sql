-- name: words_like (prepared)
-- For each of the typed words $1: words that begin with it; and those that share a key with it ($2, an array as text, or
-- null), if none begins so, or if $3 asks for them in any case. The most used first.
SELECT t.number, w.word, w.uses, w.is_beginning
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY t (typed, keys, number)
CROSS JOIN LATERAL (
    (SELECT w.word, w.uses, true AS is_beginning
     FROM search.words w
     WHERE w.word >= t.typed AND w.word < t.typed || U&'\+10FFFF'
     ORDER BY w.word = t.typed DESC, w.uses DESC, w.word LIMIT 24)
    UNION ALL
    (SELECT w.word, w.uses, false
     FROM search.words w
     WHERE w.keys && t.keys::integer[]
       AND ($3 OR NOT EXISTS (SELECT FROM search.words b
                              WHERE b.word >= t.typed AND b.word < t.typed || U&'\+10FFFF'))
     ORDER BY w.uses DESC, w.word LIMIT 60)
) w;

-- name: words_containing
-- For each of the typed words $1, escaped for LIKE: words that contain it further in. Index: words_by_part (trigrams).
SELECT t.number, w.word, w.uses
FROM unnest($1::text[]) WITH ORDINALITY t (typed, number)
CROSS JOIN LATERAL (
    SELECT w.word, w.uses FROM search.words w WHERE w.word LIKE '_%' || t.typed || '%' ORDER BY w.uses DESC, w.word LIMIT 24
) w;

-- name: members_matching (prepared)
-- Members that have a token of each of three groups ($3 to $5: for each step of fame, from the best known to all, an
-- array as text; $6 is the fame that others of a step have found already), at most $2; if there are so many, also
-- those whom the viewer $1 follows, and some of the same department ($7: the first group without steps). Of these,
-- whom the viewer may find, the best match first: for each group, whether it is the word itself ($8 to $10), or a
-- usual beginning of it ($11 to $13); the whole name or username ($14); then closeness and fame. Groups that repeat
-- one have nulls there. The arrays that are compared row by row are short: each of their numbers is compared with each
-- of a member's.
WITH own AS MATERIALIZED (SELECT s.university, s.place FROM search.members s WHERE s.member_id = $1),
hits AS MATERIALIZED (
    SELECT h.*
    FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[]) step (a, b, c, below)
    CROSS JOIN LATERAL (
        SELECT s.*
        FROM search.members s
        WHERE s.tokens && step.a::integer[] AND s.tokens && step.b::integer[] AND s.tokens && step.c::integer[]
          AND s.fame < step.below
    ) h
    LIMIT $2
),
-- OFFSET 0 keeps each of these parts a loop of look-ups, which is what few rows want; the planner expects other numbers.
near AS MATERIALIZED (
    (SELECT s.*
     FROM (SELECT f.followed_id FROM feed.follow_pairs f WHERE f.follower_id = $1 LIMIT 500) f
     CROSS JOIN LATERAL (SELECT s.* FROM search.members s WHERE s.member_id = f.followed_id OFFSET 0) s
     WHERE (SELECT count(*) FROM hits) >= $2
       AND (s.tokens && $8::integer[] OR s.tokens && $11::integer[])
       AND ($9::integer[] IS NULL OR s.tokens && $9::integer[] OR s.tokens && $12::integer[])
       AND ($10::integer[] IS NULL OR s.tokens && $10::integer[] OR s.tokens && $13::integer[]))
    UNION
    (SELECT s.*
     FROM (SELECT s.* FROM search.members s
           WHERE s.tokens && ARRAY(SELECT t # o.place FROM own o CROSS JOIN unnest($7::integer[]) t) OFFSET 0) s
     WHERE (SELECT count(*) FROM hits) >= $2
       AND (s.tokens && $8::integer[] OR s.tokens && $11::integer[])
       AND ($9::integer[] IS NULL OR s.tokens && $9::integer[] OR s.tokens && $12::integer[])
       AND ($10::integer[] IS NULL OR s.tokens && $10::integer[] OR s.tokens && $13::integer[])
     LIMIT $2 / 2)
),
candidates AS (
    SELECT * FROM hits
    UNION ALL
    SELECT n.* FROM near n WHERE n.member_id NOT IN (SELECT h.member_id FROM hits h)
),
ranked AS (
    SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, m.university,
           CASE WHEN c.tokens && $8::integer[] THEN 6 WHEN c.tokens && $11::integer[] THEN 4 ELSE 2 END
           + CASE WHEN c.tokens && $9::integer[] THEN 6 WHEN c.tokens && $12::integer[] THEN 4 ELSE 2 END
           + CASE WHEN c.tokens && $10::integer[] THEN 6 WHEN c.tokens && $13::integer[] THEN 4 ELSE 2 END
           + CASE WHEN c.tokens && $14::integer[] THEN 4 ELSE 0 END
           + CASE WHEN (SELECT true FROM feed.follow_pairs f WHERE f.follower_id = $1 AND f.followed_id = m.id)
                  THEN 5 ELSE 0 END
           + CASE WHEN c.place = (SELECT o.place FROM own o) THEN 2 ELSE 0 END
           + CASE WHEN c.university = (SELECT o.university FROM own o) THEN 1 ELSE 0 END
           + c.fame AS score
    FROM candidates c
    CROSS JOIN LATERAL (SELECT m.* FROM feed.findable_members($1) m WHERE m.id = c.member_id OFFSET 0) m
)
SELECT r.*, count(*) OVER () AS found, (SELECT count(*) FROM hits) >= $2 AS is_cut
FROM ranked r
ORDER BY r.score DESC, r.id
OFFSET $15 LIMIT $16;
