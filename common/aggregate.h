#ifndef COMMON_AGGREGATE_H
#define COMMON_AGGREGATE_H

#include "common/uuid.h"

/*
 * Id of an event as an aggregate node shows it. Its own inverse: given the derived id, it gives the event's. Version
 * and variant of the id stay.
 */
struct uuid aggregate_event_id(const struct uuid *node, const struct uuid *event);

#endif
