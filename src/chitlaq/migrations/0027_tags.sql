-- Hashtags as they are matched and as they are spelled; what explore and trending show, worked out every two minutes.

ALTER TABLE feed.post_tags ADD COLUMN spelling text CHECK (char_length(spelling) BETWEEN 1 AND 100);
UPDATE feed.post_tags SET spelling = tag;
ALTER TABLE feed.post_tags ALTER spelling SET NOT NULL;

-- Tags are found by another grammar now (docs/text.md), which is Python's to apply: to what is stored, too.
CREATE POLICY tag_posts ON jobs.jobs TO chitlaq_feed USING (kind = 'tag_posts');
INSERT INTO jobs.jobs (kind, payload, request_id) SELECT 'tag_posts', '{}', repeat('0', 32)
WHERE EXISTS (SELECT FROM feed.posts);

-- A ranking of public posts. Some older ones are kept, so that who reads on in one stays in it.
CREATE TABLE feed.rankings (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE feed.ranked_posts (
    ranking_id bigint NOT NULL REFERENCES feed.rankings ON DELETE CASCADE,
    rank smallint NOT NULL CHECK (rank >= 1),
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    PRIMARY KEY (ranking_id, rank)
);
CREATE INDEX ranked_posts_by_post ON feed.ranked_posts (post_id, ranking_id);

-- The tags that rise, of each university; null stands for all of them together.
CREATE TABLE feed.trending_tags (
    university_id uuid REFERENCES auth.universities ON DELETE CASCADE,
    rank smallint NOT NULL CHECK (rank >= 1),
    tag text NOT NULL,
    spelling text NOT NULL,
    authors integer NOT NULL CHECK (authors >= 1),
    posts integer NOT NULL CHECK (posts >= 1),
    UNIQUE NULLS NOT DISTINCT (university_id, rank)
);
