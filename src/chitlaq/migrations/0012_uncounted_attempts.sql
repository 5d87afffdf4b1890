-- The number of attempts is the fence between processes, so it only grows; an operator's retry and an
-- outage say how many of them do not count. Until now a retry set it back, and a process that had lost
-- its lease could pass for the one that holds the job.

ALTER TABLE jobs.jobs ADD COLUMN uncounted integer NOT NULL DEFAULT 0 CHECK (uncounted >= 0);
