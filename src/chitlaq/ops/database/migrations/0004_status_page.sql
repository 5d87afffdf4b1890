-- A person's word on a component of the status page, which overrides what is measured.
CREATE TABLE component_overrides (
    component text PRIMARY KEY,
    state text NOT NULL,
    set_by text NOT NULL,
    set_at text NOT NULL
) STRICT, WITHOUT ROWID;
