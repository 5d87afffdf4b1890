-- name: audience
-- Which of these members ($2) a new post ($1) is news to: feed's published rule.
SELECT feed.audience($1, $2::uuid[]) AS id;
