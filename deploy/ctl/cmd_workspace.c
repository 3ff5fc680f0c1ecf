#include "common/clock.h"
#include "common/json.h"
#include "deploy/ctl/ctl.h"

/* Its configuration and its customers lie in partitions of one number, so both topics must have it. */
static bool choose_partition(struct ctl *ctl, const struct uuid *workspace, uint32_t *ret_partition, struct err *err)
{
	uint32_t customers, configuration;

	if (!ctl_partition_count(ctl, TOPIC_CUSTOMER_COMMANDS, &customers, err) ||
	        !ctl_partition_count(ctl, TOPIC_CONFIG_COMMANDS, &configuration, err))
		return false;
	*ret_partition = config_partition_of(workspace, customers < configuration ? customers : configuration);
	return true;
}

bool ctl_workspace_create(struct ctl *ctl, struct err *err)
{
	struct arguments *arguments = &ctl->arguments;
	struct uuid id = uuid_v7(clock_wall_us());
	uint32_t partition;
	struct config_key key = {.kind = STR(CONFIG_WORKSPACE), .id = STR(""), .version = CONFIG_NEW};
	struct str name, slug, shard = arguments_option(arguments, "shard");
	int64_t group;

	if (!arguments_text(arguments, "name", &name, err) || !arguments_text(arguments, "slug", &slug, err) ||
	        !arguments_number(arguments, "group", -1, 0, INT32_MAX, &group, err) || !arguments_done(arguments, err))
		return false;
	if (group < 0)
		return err_set(err, ERR_INVALID, "--group is missing");
	if (shard.p && !config_shard_exists(shard))
		return err_set(err, ERR_INVALID, "there is no shard \"%.*s\"", STR_ARG(shard));
	if (!choose_partition(ctl, &id, &partition, err))
		return false;
	struct json *doc = config_workspace_document(
	        ctl->arena, &id, name, slug, group, shard.n ? shard : STR(CONFIG_DEFAULT_SHARD), partition);
	if (!ctl_put(ctl, &id, partition, &key, doc, err))
		return false;
	puts(config_id_text(ctl->arena, &id).p);
	return true;
}

bool ctl_workspace_list(struct ctl *ctl, struct err *err)
{
	PGresult *rows = arguments_done(&ctl->arguments, err) ? ctl_query(ctl, "workspaces", NULL, err) : NULL;

	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid id = db_uuid(rows, row, 0);
		printf("%s %-9.*s partition %3lld  %.*s (%.*s)\n", config_id_text(ctl->arena, &id).p,
		        STR_ARG(db_text(rows, row, 3)), (long long)db_i64(rows, row, 4), STR_ARG(db_text(rows, row, 1)),
		        STR_ARG(db_text(rows, row, 2)));
	}
	PQclear(rows);
	return true;
}
