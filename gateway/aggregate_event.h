#ifndef GATEWAY_AGGREGATE_EVENT_H
#define GATEWAY_AGGREGATE_EVENT_H

#include "common/event.h"

/*
 * An aggregate node shows the events of its profiles' members as its own: on the profile, by an id that follows from
 * the node's and the event's, without a bring-back (which named the entry node).
 */
void event_show_on_aggregate(struct event_row *event, const struct uuid *node, const struct uuid *profile);

#endif
