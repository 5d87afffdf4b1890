-- What an account may do beyond its own affairs, and accounts that may do nothing any more.

ALTER TABLE auth.accounts
    -- Beside that of a member, which every account has.
    ADD COLUMN roles text[] NOT NULL DEFAULT '{}' CHECK (roles <@ '{moderator,admin,operator}'::text[]),
    -- Since when nobody signs in; the member stays where they are in the graph.
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN disabled_reason text CHECK (char_length(disabled_reason) BETWEEN 1 AND 200),
    ADD CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL));

-- However they change: tokens that say what is not true any more are refused, and a disabled account's sessions end.
CREATE FUNCTION auth.revoke_changed() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM auth.revoke(NEW.id);
    IF NEW.disabled_at IS NOT NULL THEN
        UPDATE auth.sessions SET ended_at = now() WHERE account_id = NEW.id AND ended_at IS NULL;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER revoke_changed AFTER UPDATE OF roles, disabled_at ON auth.accounts
FOR EACH ROW
WHEN (OLD.roles IS DISTINCT FROM NEW.roles OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL))
EXECUTE FUNCTION auth.revoke_changed();
