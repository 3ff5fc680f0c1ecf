#ifndef COMMON_RECENT_IDS_H
#define COMMON_RECENT_IDS_H

#include "common/uuid.h"

/*
 * The last ids that were added, as many as it is made for. Kafka's log may hold a record twice: a producer of
 * librdkafka 2.0.2 sends again under another epoch what a broker had written down when it died (of a full disk, say),
 * and the broker cannot tell. The second one comes within the producer's time for delivery.
 */
struct recent_ids;

/* Ends the process when there is no memory. */
struct recent_ids *recent_ids_new(size_t capacity);
void recent_ids_free(struct recent_ids *recent);
bool recent_ids_has(const struct recent_ids *recent, const struct uuid *id);
/* The oldest one goes. */
void recent_ids_add(struct recent_ids *recent, const struct uuid *id);

#endif
