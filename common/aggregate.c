#include "common/aggregate.h"

struct uuid aggregate_event_id(const struct uuid *node, const struct uuid *event)
{
	struct uuid mask = uuid_v5(node, STR("event")), id = *event;

	mask.b[6] &= 0x0f; /* version */
	mask.b[8] &= 0x3f; /* variant */
	for (size_t i = 0; i < sizeof(id.b); i++)
		id.b[i] ^= mask.b[i];
	return id;
}
