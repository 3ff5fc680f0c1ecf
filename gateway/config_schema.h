#ifndef GATEWAY_CONFIG_SCHEMA_H
#define GATEWAY_CONFIG_SCHEMA_H

#include "common/schema.h"
#include "gateway/config.h"

/*
 * The compiled schemas of one workspace, or of every workspace that declares nothing of its own: made at first use, in
 * the arena of the set. Private to config.c.
 */
struct schema_set;

/* workspace NULL: the schemas without any declared property. */
struct schema_set *schema_set_new(struct arena *arena, const struct config_workspace *workspace);
const struct schema *schema_set_customer(struct schema_set *set);
const struct schema *schema_set_event(struct schema_set *set, size_t event_type_index);
const struct schema *schema_set_context(struct schema_set *set, size_t context_index);

#endif
