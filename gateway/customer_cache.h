#ifndef GATEWAY_CUSTOMER_CACHE_H
#define GATEWAY_CUSTOMER_CACHE_H

#include "common/uuid.h"

/*
 * What this gateway knows about customers, so that an event needs no query: the node of a customer, and which external
 * ids of a node somebody has or will have.
 *
 * Fed by facts only. A customer is put when a query has found it. An external id is put when the brokers have
 * acknowledged a record that ensures a customer with it (CUSTOMER_ENSURE): that record stands in the log before every
 * event that is published afterwards, which is all that an event needs. Both facts end when the customer is deleted or
 * given another external id. This gateway's own writes are told to it (customer_cache_forget,
 * customer_cache_forget_external_ids); another gateway's are not, so an entry lives for CUSTOMER_CACHE_LIFE_US only. A
 * stale entry costs an event nothing but its refusal: it becomes the tombstone of a deleted customer's event, or waits
 * for its external id.
 *
 * Bounded: an entry takes the place of the oldest one in its bucket. Not thread-safe; times are of
 * clock_monotonic_us().
 */
#define CUSTOMER_CACHE_LIFE_US (15 * 1000000LL)
#define CUSTOMER_CACHE_ENTRIES 65536 /* of 64 bytes, for each of the two kinds of facts */

struct customer_cache;

/* n_entries: a power of two, 4 at least. Out of memory ends the process. */
struct customer_cache *customer_cache_new(size_t n_entries);
void customer_cache_free(struct customer_cache *cache);

/* The one of this process, made at its first use. */
struct customer_cache *customer_cache_of_process(void);

/*
 * Grows whenever something was forgotten. Whoever asks for a fact takes it before asking and gives it back with the
 * answer: an answer from before the last change is not kept.
 */
uint64_t customer_cache_epoch(const struct customer_cache *cache);

bool customer_cache_find(const struct customer_cache *cache, const struct uuid *workspace, const struct uuid *customer,
        int64_t now_us, struct uuid *ret_node);
void customer_cache_put(struct customer_cache *cache, const struct uuid *workspace, const struct uuid *customer,
        const struct uuid *node, uint64_t epoch, int64_t now_us);
/* The customer was deleted; its external id, whichever it was, is free. */
void customer_cache_forget(struct customer_cache *cache, const struct uuid *workspace, const struct uuid *customer);

bool customer_cache_has_external_id(
        const struct customer_cache *cache, const struct uuid *node, struct str external_id, int64_t now_us);
void customer_cache_put_external_id(
        struct customer_cache *cache, const struct uuid *node, struct str external_id, uint64_t epoch, int64_t now_us);
/* A customer was given another external id: the one that it had, which nobody here knows, may be free. */
void customer_cache_forget_external_ids(struct customer_cache *cache);

/* Many customers are gone: those of an emptied node. */
void customer_cache_clear(struct customer_cache *cache);

#endif
