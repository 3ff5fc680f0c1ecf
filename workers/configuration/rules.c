#include "workers/configuration/rules.h"

#include "common/arena.h"
#include "common/config_doc.h"

bool rule_wanted(const struct command *command, struct str kind)
{
	return command->type == COMMAND_CONFIG_EMPTY || str_is(kind, CONFIG_NODE);
}

void rule_make(struct arena *arena, const struct command *original, int64_t seq, struct command *ret_rule)
{
	*ret_rule = *original;
	ret_rule->text = str_of(arena_printf(arena, "%lld", (long long)seq));
	if (original->type == COMMAND_CONFIG_EMPTY) {
		ret_rule->type = COMMAND_NODE_EMPTY;
		return;
	}
	ret_rule->type = COMMAND_NODE_RULES;
	ret_rule->node = original->entity;
	/* the write has its outcome already; under the original id the rule would look like a repeat of it */
	ret_rule->id = uuid_derive(&original->id, 0);
	ret_rule->flags = 0;
	ret_rule->fingerprint = 0;
	ret_rule->reply = (struct reply_address){0};
}
