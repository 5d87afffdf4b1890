-- Announcements: what moderators and operators tell all members, those of a university, or of a department
-- (docs/notifications.md).

CREATE TABLE websocket.announcements (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    -- Who wrote it: a member with the role, until they are erased; or an operator.
    author_id uuid REFERENCES auth.accounts ON DELETE SET NULL,
    operator text CHECK (char_length(operator) BETWEEN 1 AND 200),
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 200),
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 5000),
    -- Whom it is for; null: for all.
    university_id uuid REFERENCES auth.universities ON DELETE CASCADE,
    department text CHECK (char_length(department) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Until then it is a banner.
    expires_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'delivering'
        CHECK (state IN ('delivering', 'paused', 'delivered', 'cancelled', 'withdrawing', 'withdrawn')),
    -- Members are told in the order of their ids: up to this one they were.
    told_until uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- How many there were when it was written; and how many it has come to, those included who do not want to be told.
    audience integer NOT NULL CHECK (audience >= 0),
    reached integer NOT NULL DEFAULT 0 CHECK (reached >= 0),
    -- When its delivery, or its withdrawal, went on.
    advanced_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (author_id, idempotency_key),
    CHECK (num_nonnulls(author_id, operator) <= 1),
    CHECK (department IS NULL OR university_id IS NOT NULL),
    CHECK (expires_at > created_at)
);
CREATE INDEX announcements_by_university ON websocket.announcements (university_id);

-- Whose banner it is no more, on all of their devices.
CREATE TABLE websocket.dismissed_announcements (
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    announcement_id uuid NOT NULL REFERENCES websocket.announcements ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, announcement_id)
);
CREATE INDEX dismissed_announcements_by_announcement ON websocket.dismissed_announcements (announcement_id);

CREATE POLICY announce ON jobs.jobs TO chitlaq_websocket USING (kind = 'announce');

-- Whether an announcement is for members of this university and department.
CREATE FUNCTION websocket.is_addressed(
    wanted_university uuid, wanted_department text, university uuid, department text
) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN (wanted_university IS NULL OR wanted_university = university)
       AND (wanted_department IS NULL OR lower(wanted_department) = lower(department));

-- How many are under way, and for how long the first of them has stood still. A paused one waits for whoever paused it.
CREATE VIEW websocket.announcement_backlog AS
SELECT count(*) AS under_way, coalesce(extract(epoch FROM now() - min(advanced_at)), 0)::float8 AS still_seconds
FROM websocket.announcements WHERE state IN ('delivering', 'withdrawing');
GRANT SELECT ON websocket.announcement_backlog TO chitlaq_ops;
