-- name: posts_found (prepared)
-- Posts that the viewer $1 may read and that match. Index: post_words_by_word.
SELECT p.* FROM feed.posts_found(
    $1, $2::text::tsquery, $3::text::tsquery, $4::text[]::tsquery[], $5::text[]::tsquery[], $6::text::tsquery,
    $7, $8, $9, $10, $11, $12, $13, $14
) p;

-- name: posts_counted
-- How many posts each of these tsqueries finds, up to $2.
SELECT feed.posts_counted(q::tsquery, $2) FROM unnest($1::text[]) WITH ORDINALITY t (q, place) ORDER BY place;
