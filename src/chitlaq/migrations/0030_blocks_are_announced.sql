-- feed-service tells other services of a block, by a job that is committed with it.
CREATE POLICY announce_block ON jobs.jobs TO chitlaq_feed USING (kind = 'announce_block');
