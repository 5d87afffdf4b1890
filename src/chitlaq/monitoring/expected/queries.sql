-- name: latest_public_posts
-- The posts with which the feed of everybody begins, newest first.
SELECT id FROM feed.latest_public_posts($1) AS id;

-- name: findable_username
-- Somebody whom everybody finds; null if there is nobody.
SELECT feed.findable_username() AS username;
