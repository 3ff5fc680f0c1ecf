#include "gateway/aggregate_event.h"

#include "common/aggregate.h"

void event_show_on_aggregate(struct event_row *event, const struct uuid *node, const struct uuid *profile)
{
	event->id = aggregate_event_id(node, &event->id);
	event->node = *node;
	event->has_customer = true;
	event->customer = *profile;
	event->bind = EVENT_BIND_NONE;
	event->bind_value = STR_NONE;
	event->duplicate = true;
}
