#ifndef CUSTOMER_MERGE_MERGE_H
#define CUSTOMER_MERGE_MERGE_H

#include "common/customer.h"

struct arena;

/*
 * What a write makes of a customer: pure functions of the present document and the body that was sent.
 *
 * - POST: null and [] mean nothing, objects are merged, lists grow: what is there already is not doubled, and an item
 *   replaces the one with the same id in its place (of a subscription, field by field).
 * - PATCH, PUT: null removes, [] empties, objects are merged, a list becomes the one that was sent. Subscriptions alone
 *   are merged by id, field by field, and those that are not named stay.
 * - STRICT: subscriptions, too, become the list that was sent.
 *
 * PATCH and PUT differ in what the body must hold: PUT and POST need the unique and mandatory properties of the node.
 * What a GET returned and nobody can write (id, nodeId, times ...) is ignored.
 */
enum merge_mode { MERGE_POST, MERGE_PATCH, MERGE_PUT };

struct merge_result {
	struct json *doc;          /* new document in normal form; shares memory with both inputs */
	bool changed;              /* false: doc equals the present one */
	enum err_code refused;     /* ERR_NONE, or why there is no doc; problems tell more */
	struct problems *problems; /* or NULL */
};

/* current NULL: there is none yet. */
struct merge_result merge_customer(struct arena *arena, const struct json *current, const struct json *body,
        enum merge_mode mode, bool strict, const struct customer_policy *policy);

/* One item of a list: the same id replaces in place (subscriptions: field by field), a new one is appended. `id` wins
   over the id in the body. */
struct merge_result merge_item(struct arena *arena, const struct json *current, enum item_kind kind, struct str id,
        const struct json *body, enum merge_mode mode);
/* The item must be there: see customer_item_find. */
struct merge_result merge_item_removed(
        struct arena *arena, const struct json *current, enum item_kind kind, struct str id);

/* updatedAt of a change: it grows by at least a millisecond, so that clients see it grow. */
int64_t merge_updated_us(int64_t before_us, int64_t now_us);

#endif
