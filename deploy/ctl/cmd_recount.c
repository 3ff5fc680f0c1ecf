#include "deploy/ctl/ctl.h"

/* Prints a line per kind of counter that differs; adds their number. */
static bool compare(struct ctl *ctl, const struct uuid *workspace, int64_t *ret_differences, struct err *err)
{
	struct db_params params;
	char id[UUID_TEXT_BYTES + 1];

	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, workspace);
	PGresult *rows = ctl_query(ctl, "recount_differences", &params, err);
	if (!rows)
		return false;
	uuid_format(workspace, id);
	for (int row = 0; row < PQntuples(rows); row++) {
		struct str what = db_text(rows, row, 0);
		int64_t n = db_i64(rows, row, 1);
		if (n)
			printf("%s: %lld rows of %.*s differ\n", id, (long long)n, (int)what.n, what.p);
		*ret_differences += n;
	}
	PQclear(rows);
	return true;
}

static bool repair(struct ctl *ctl, const struct uuid *workspace, struct err *err)
{
	struct db_params params;

	db_params_init(&params, ctl->arena);
	db_param_uuid(&params, workspace);
	PGresult *done = ctl_query(ctl, "recount_repair", &params, err);
	PQclear(done);
	return done != NULL;
}

static bool one_workspace(
        struct ctl *ctl, const struct uuid *workspace, bool with_repair, int64_t *ret_differences, struct err *err)
{
	int64_t differences = 0;

	if (!compare(ctl, workspace, &differences, err))
		return false;
	*ret_differences += differences;
	return !differences || !with_repair || repair(ctl, workspace, err);
}

static bool all_workspaces(struct ctl *ctl, bool with_repair, int64_t *ret_differences, struct err *err)
{
	PGresult *rows = ctl_query(ctl, "workspaces", NULL, err);
	bool good = rows != NULL;

	for (int row = 0; good && row < PQntuples(rows); row++) {
		struct uuid workspace = db_uuid(rows, row, 0);
		good = one_workspace(ctl, &workspace, with_repair, ret_differences, err);
	}
	PQclear(rows);
	return good;
}

/* A comparison at a moment that is not quiet finds what the worker has not counted yet. */
bool ctl_recount(struct ctl *ctl, struct err *err)
{
	struct str name = arguments_option(&ctl->arguments, "workspace");
	bool with_repair = arguments_flag(&ctl->arguments, "repair");
	struct uuid workspace;
	int64_t differences = 0;

	if (!arguments_done(&ctl->arguments, err))
		return false;
	if (name.p && !ctl_workspace_read(ctl, name, &workspace, err))
		return false;
	if (name.p ? !one_workspace(ctl, &workspace, with_repair, &differences, err)
	           : !all_workspaces(ctl, with_repair, &differences, err))
		return false;
	if (!differences)
		puts("every counter is equal to its recount");
	else if (with_repair)
		printf("%lld rows differed and were counted again\n", (long long)differences);
	else
		return err_set(err, ERR_CONFLICT,
		        "%lld rows differ; while there are writes some are not counted yet; --repair counts again",
		        (long long)differences);
	return true;
}
