#include "workers/configuration/rules.h"

#include "common/arena.h"
#include "common/config_doc.h"
#include "common/json.h"

/* A body that is no JSON is refused when the document is stored. */
static bool is_aggregate(struct arena *arena, struct str body)
{
	struct err ignored;
	const struct json *doc = json_parse(arena, arena_str(arena, body), &ignored);

	return str_is(json_text(json_member(doc, "nodeType")), "AGGREGATE");
}

bool rule_topic(struct arena *arena, const struct command *command, struct str kind, enum topic *ret_topic)
{
	*ret_topic = TOPIC_CUSTOMER_COMMANDS;
	if (command->type == COMMAND_CONFIG_EMPTY)
		return true;
	if (!str_is(kind, CONFIG_NODE))
		return false;
	if (is_aggregate(arena, command->body))
		*ret_topic = TOPIC_CHANGES;
	return true;
}

void rule_make(
        struct arena *arena, const struct command *original, enum topic topic, int64_t seq, struct command *ret_rule)
{
	*ret_rule = *original;
	ret_rule->text = str_of(arena_printf(arena, "%lld", (long long)seq));
	if (original->type == COMMAND_CONFIG_EMPTY) {
		ret_rule->type = COMMAND_NODE_EMPTY;
		return;
	}
	ret_rule->type = topic == TOPIC_CHANGES ? COMMAND_AGGREGATE_RULES : COMMAND_NODE_RULES;
	ret_rule->node = original->entity;
	/* the write has its outcome already; under the original id the rule would look like a repeat of it */
	ret_rule->id = uuid_derive(&original->id, 0);
	ret_rule->flags = 0;
	ret_rule->fingerprint = 0;
	ret_rule->reply = (struct reply_address){0};
}
