-- name: audience
-- Of the members $2, those who are told of a new post ($1), by feed's published rule, and whether they see what it quotes.
SELECT id, sees_quote FROM feed.news_for($1, $2::uuid[]);
