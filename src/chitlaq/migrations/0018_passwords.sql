-- What is mailed to an account's owner: to choose a new password, or to prove a new address.

-- Secrets that travel by mail, each for one use; only their SHA-256 is kept.
CREATE TABLE auth.mailed_tokens (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('password_reset', 'address_change', 'address_return')),
    -- The address that its use gives to the account: the new one, or the one from before.
    email text CHECK (email = lower(email) AND char_length(email) <= 254),
    -- The session that asked, which goes on.
    session_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK ((purpose = 'password_reset') = (email IS NULL))
);
CREATE INDEX mailed_tokens_by_account ON auth.mailed_tokens (account_id);
CREATE INDEX mailed_tokens_by_expiry ON auth.mailed_tokens (expires_at);

CREATE POLICY forgotten_password ON jobs.jobs TO chitlaq_auth USING (kind = 'forgotten_password');

-- Who signs in by other means has no password.
ALTER TABLE auth.accounts ALTER password_hash DROP NOT NULL;

-- For whom a member wrote does not change with their university: a post for one keeps it when its author moves.
ALTER TABLE feed.posts ADD COLUMN university_id uuid REFERENCES auth.universities;
COMMENT ON COLUMN feed.posts.university_id IS 'of a post for a university that its author has left';
CREATE INDEX posts_by_left_university ON feed.posts (university_id) WHERE university_id IS NOT NULL;

CREATE OR REPLACE FUNCTION feed.readable_posts(viewer uuid)
RETURNS TABLE (
    id uuid, author_id uuid, username text, display_name text, avatar_url text, text text,
    visibility text, reply_to uuid, likes integer, replies integer, reposts integer,
    created_at timestamptz, edited_at timestamptz, liked boolean
)
LANGUAGE sql STABLE
AS $$
    SELECT p.id, p.author_id, a.username, a.display_name, a.avatar_url, p.text,
           p.visibility, p.reply_to, p.likes_count, p.replies_count, p.reposts_count,
           p.created_at, p.edited_at,
           EXISTS (SELECT FROM feed.likes l WHERE l.post_id = p.id AND l.member_id = viewer)
    FROM feed.posts p
    JOIN feed.members a ON a.id = p.author_id
    WHERE p.deleted_at IS NULL
      AND CASE
          WHEN p.author_id = viewer THEN true
          WHEN p.visibility = 'self' THEN false
          WHEN EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = p.author_id AND b.blocked_id = viewer)
            OR EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = viewer AND b.blocked_id = p.author_id)
          THEN false
          WHEN (a.is_private OR p.visibility = 'followers')
           AND NOT EXISTS (SELECT FROM feed.follows f
                           WHERE f.follower_id = viewer AND f.followed_id = p.author_id)
          THEN false
          WHEN p.visibility = 'university'
          THEN EXISTS (SELECT FROM feed.members v
                       WHERE v.id = viewer AND v.university_id = coalesce(p.university_id, a.university_id))
          ELSE true
      END
$$;

-- What auth-service calls, in its own transaction, when an account's new address is of another university, or
-- of a department. Without a department the member keeps theirs, unless it was another university's.
CREATE FUNCTION feed.move_member(account uuid, university uuid, department text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    UPDATE feed.posts p SET university_id = m.university_id
    FROM feed.members m
    WHERE m.id = account AND m.university_id <> university
      AND p.author_id = account AND p.visibility = 'university' AND p.university_id IS NULL;
    UPDATE feed.members m
    SET university_id = university,
        department = CASE
            WHEN move_member.department <> '' OR m.university_id <> university THEN move_member.department
            ELSE m.department
        END
    WHERE m.id = account;
END;
REVOKE ALL ON FUNCTION feed.move_member FROM public;
GRANT EXECUTE ON FUNCTION feed.move_member TO chitlaq_auth;
