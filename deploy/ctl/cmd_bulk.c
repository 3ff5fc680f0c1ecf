#include "common/buf.h"
#include "common/bulk_job.h"
#include "common/clock.h"
#include "deploy/ctl/ctl.h"

static bool take_id(struct ctl *ctl, const char *what, struct uuid *ret_id, struct err *err)
{
	return uuid_parse(arguments_word(&ctl->arguments), ret_id) ||
	       err_set(err, ERR_INVALID, "name the %s by its id: bulk-stop WORKSPACE JOB", what);
}

static bool check_open(struct ctl *ctl, const struct uuid *workspace, const struct uuid *job, struct err *err)
{
	struct db_params params;

	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, workspace);
	db_param_uuid(&params, job);
	PGresult *rows = ctl_query(ctl, "bulk_job_status", &params, err);
	bool good = rows != NULL;
	if (good && !PQntuples(rows))
		good = err_set(err, ERR_NOT_FOUND, "there is no such bulk job");
	else if (good && bulk_status_is_final(db_text(rows, 0, 0)))
		good = err_set(err, ERR_CONFLICT, "the bulk job is %.*s already", STR_ARG(db_text(rows, 0, 0)));
	PQclear(rows);
	return good;
}

bool ctl_bulk_stop(struct ctl *ctl, struct err *err)
{
	int64_t now_us = clock_wall_us();
	struct command command = {.type = COMMAND_BULK_STOP, .time_us = now_us, .id = uuid_v7(now_us)};
	struct buf record;
	uint32_t n;

	if (!take_id(ctl, "workspace", &command.workspace, err) || !take_id(ctl, "job", &command.entity, err) ||
	        !arguments_done(&ctl->arguments, err) || !check_open(ctl, &command.workspace, &command.entity, err) ||
	        !ctl_partition_count(ctl, TOPIC_BULK_JOBS, &n, err))
		return false;
	buf_init(&record, ctl->arena, 256);
	command_encode(&record, &command);
	if (!ctl_send(ctl, TOPIC_BULK_JOBS, workspace_partition(&command.workspace, n), &command.entity,
	            buf_str(&record), err))
		return false;
	printf("%s is told to stop\n", config_id_text(ctl->arena, &command.entity).p);
	return true;
}
