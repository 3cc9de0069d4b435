-- Without pg_cron there are no jobs, and it is said how to get it. What pg_cron does with them: tests/sql/operations/schedule.rs.
SELECT * FROM failure('SELECT erp_schedule()') \gx
SELECT * FROM failure('SELECT erp_unschedule()') \gx
SELECT * FROM erp_jobs();
