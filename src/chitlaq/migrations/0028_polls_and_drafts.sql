-- Quotes that the quoted detached, histories that do not tell more than was told, polls, drafts and scheduled posts.

ALTER TABLE feed.posts ADD COLUMN quote_detached boolean NOT NULL DEFAULT false;

-- For whom the earlier text was. What was for fewer than the post is for now stays the author's own.
ALTER TABLE feed.post_edits ADD COLUMN visibility text NOT NULL DEFAULT 'self';
CREATE FUNCTION feed.reach(visibility text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN array_position(ARRAY['self', 'mentioned', 'followers', 'university', 'public'], visibility);
