#include "workers/configuration/configuration.h"

static void *open_outbox(struct worker *worker, struct err *err)
{
	(void)err;
	return outbox_new(worker_settings(worker));
}

static bool publish(struct worker *worker, void *state, struct err *err)
{
	return outbox_publish(state, worker_db(worker), err);
}

const struct worker_definition configuration_worker = {
        .name = "configuration",
        .topic = TOPIC_CONFIG_COMMANDS,
        .statements = configuration_statements,
        .n_statements = CONFIGURATION_STATEMENTS,
        .open = open_outbox,
        .handle = configuration_handle,
        .committed = publish,
};
