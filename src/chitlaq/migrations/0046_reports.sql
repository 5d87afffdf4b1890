-- What members report to moderators: another member, or a post. One report of each; a further one replaces it.

CREATE TABLE feed.reports (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    reporter_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('member', 'post')),
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    post_id uuid REFERENCES feed.posts ON DELETE SET NULL,
    -- As it was when it was reported: it may be edited or deleted since.
    content_warning text,
    text text,
    reason text NOT NULL CHECK (reason IN ('spam', 'harassment', 'hate', 'violence', 'private', 'other')),
    note text NOT NULL DEFAULT '' CHECK (length(note) <= 1000),
    reported_at timestamptz NOT NULL DEFAULT now(),
    CHECK (reporter_id <> member_id)
);
CREATE UNIQUE INDEX reports_of_members ON feed.reports (reporter_id, member_id) WHERE kind = 'member';
CREATE UNIQUE INDEX reports_of_posts ON feed.reports (reporter_id, post_id) WHERE kind = 'post';
CREATE INDEX reports_by_reporter ON feed.reports (reporter_id);
CREATE INDEX reports_by_member ON feed.reports (member_id);
CREATE INDEX reports_by_post ON feed.reports (post_id);
