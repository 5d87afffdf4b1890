-- name: posts_found (prepared)
-- Posts that the viewer $1 may read and that match. Index: post_words_by_word.
SELECT p.* FROM feed.posts_found(
    $1, $2::text::tsquery, $3::text::tsquery, $4::text[]::tsquery[], $5::text[]::tsquery[], $6::text::tsquery,
    $7, $8, $9, $10, $11, $12, $13, $14
) p;

-- name: posts_parts (prepared)
-- What these posts $2 say besides their texts.
SELECT o.id, o.kind, o.text FROM feed.parts_of_posts($1, $2) o;

-- name: posts_counted (prepared)
-- How many posts that the viewer $1 may read have each of these, up to $3.
SELECT coalesce((SELECT p.found FROM feed.posts_found(
    $1, t.wanted::tsquery, NULL, '{}', '{}', NULL, NULL, NULL, true, $3, $4, NULL, 0, 1
) p), 0)
FROM unnest((SELECT $2::text[])) WITH ORDINALITY t (wanted, place) ORDER BY t.place;
