TRUNCATE bench.plain, erp.event, erp.inbox, erp.outcome, erp.run, erp.history, erp.failure;
UPDATE erp.lane SET mark = 0, next_look_at = NULL;
