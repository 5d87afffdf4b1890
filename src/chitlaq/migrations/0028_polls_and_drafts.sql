-- Quotes that the quoted detached, histories that do not tell more than was told, polls, drafts and scheduled posts.

ALTER TABLE feed.posts ADD COLUMN quote_detached boolean NOT NULL DEFAULT false;

-- For whom the earlier text was. What was for others than the post is for now stays the author's own.
ALTER TABLE feed.post_edits ADD COLUMN visibility text NOT NULL DEFAULT 'self';

-- Of how many votes each option has, the result is kept: it is shown with each post.
CREATE TABLE feed.polls (
    post_id uuid PRIMARY KEY REFERENCES feed.posts ON DELETE CASCADE,
    options text[] NOT NULL CHECK (cardinality(options) BETWEEN 2 AND 4),
    votes integer[] NOT NULL,
    voters integer NOT NULL DEFAULT 0 CHECK (voters >= 0),
    expires_at timestamptz NOT NULL,
    is_multiple boolean NOT NULL,
    CHECK (cardinality(votes) = cardinality(options) AND 0 <= ALL (votes))
);

-- The numbers of the options that a member chose, from 0, in order.
CREATE TABLE feed.poll_votes (
    post_id uuid NOT NULL REFERENCES feed.polls ON DELETE CASCADE,
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    choices smallint[] NOT NULL CHECK (cardinality(choices) >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (post_id, member_id)
);
CREATE INDEX poll_votes_by_member ON feed.poll_votes (member_id);

CREATE FUNCTION feed.added_votes(votes integer[], choices smallint[], change integer) RETURNS integer[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY(
    SELECT v.votes + CASE WHEN v.number - 1 = ANY (choices) THEN change ELSE 0 END
    FROM unnest(votes) WITH ORDINALITY AS v (votes, number)
    ORDER BY v.number
);

-- What may become a post: the body of POST /posts. The job publishes it at scheduled_at.
CREATE TABLE feed.drafts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    post jsonb NOT NULL,
    scheduled_at timestamptz,
    job_id uuid,
    -- Why it was not published when it was due.
    failure text,
    -- The post gets the key: who sends a draft again after that makes no second one. SHA-256 of the request.
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 200),
    request_hash bytea CHECK (length(request_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (member_id, idempotency_key),
    CHECK ((scheduled_at IS NULL) = (job_id IS NULL))
);
CREATE INDEX drafts_by_member ON feed.drafts (member_id, id DESC);
CREATE POLICY publish_draft ON jobs.jobs TO chitlaq_feed USING (kind = 'publish_draft');

-- For whom nothing is published.
CREATE VIEW auth.disabled_accounts AS SELECT id FROM auth.accounts WHERE disabled_at IS NOT NULL;
GRANT SELECT ON auth.disabled_accounts TO chitlaq_feed;

-- Of these members, the ones to whom a new post is news: they follow its author, may read it, and do not mute it.
CREATE OR REPLACE FUNCTION feed.audience(post uuid, candidates uuid[])
RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT c.id
    FROM unnest(candidates) AS c (id)
    CROSS JOIN LATERAL feed.permitted_posts(c.id) AS p
    WHERE p.id = post
      AND EXISTS (SELECT FROM feed.follows f
                  WHERE f.follower_id = c.id AND f.followed_id = p.author_id)
      AND NOT EXISTS (SELECT FROM feed.mutes_against(c.id, p.author_id, p.id, coalesce(p.root_id, p.id)))
$$;
