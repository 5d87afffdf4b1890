-- name: audience
-- Of the members $2, those who are notified of a new post ($1), by feed's published rule.
SELECT feed.audience($1, $2::uuid[]) AS id;
