#include "common/catalog.h"

#include "common/arena.h"
#include "common/catalog_data.h"
#include "common/json.h"
#include "common/log.h"

#include <stdlib.h>

/* The parsed catalog is some 3 MB, many times its text. */
#define DOCUMENTS_BYTES ((size_t)16 * 1024 * 1024)
#define DOCUMENTS_MAX 128

#define TEXT(literal)                                                                                                  \
	{                                                                                                              \
		(literal), sizeof(literal) - 1                                                                         \
	}

#define EVENT_TYPE(id_, label_, category_, months, ...)                                                                \
	{                                                                                                              \
		.id = TEXT(id_), .label = TEXT(label_), .category = TEXT(category_), .retention_months = (months),     \
		__VA_ARGS__                                                                                            \
	}

/* Sorted by id. The retention is what a new workspace starts with. */
const struct event_type event_types[EVENT_TYPE_COUNT] = {
        EVENT_TYPE("abandonedCart", "Abandoned cart", "ecommerce", 12, .active = true, .product_aware = true),
        EVENT_TYPE("abandonedSession", "Abandoned session", "ecommerce", 3, .active = true),
        EVENT_TYPE("addedCompare", "Added compare", "ecommerce", 3, .active = true, .product_aware = true),
        EVENT_TYPE("addedProduct", "Added product", "ecommerce", 12, .active = true, .product_aware = true),
        EVENT_TYPE("addedReward", "Added reward", "loyalty", 12, .active = false),
        EVENT_TYPE("addedWishlist", "Added wishlist", "ecommerce", 12, .active = true, .product_aware = true),
        EVENT_TYPE("campaignBlacklisted", "Campaign blacklisted", "campaign", 13, .active = false),
        EVENT_TYPE("campaignBounced", "Campaign bounced", "campaign", 13, .active = false),
        EVENT_TYPE("campaignLinkClicked", "Campaign link clicked", "campaign", 13, .active = true),
        EVENT_TYPE("campaignMarkedSpam", "Campaign marked spam", "campaign", 13, .active = true),
        EVENT_TYPE("campaignOpened", "Campaign opened", "campaign", 13, .active = true),
        EVENT_TYPE("campaignOptinRequested", "Campaign optin requested", "campaign", 13, .active = false),
        EVENT_TYPE("campaignSent", "Campaign sent", "campaign", 13, .active = false),
        EVENT_TYPE("campaignSubscribed", "Campaign subscribed", "campaign", 13, .active = true),
        EVENT_TYPE("campaignUnsubscribed", "Campaign unsubscribed", "campaign", 13, .active = true),
        EVENT_TYPE("changedSetting", "Changed setting", "web", 12, .active = true),
        EVENT_TYPE("clickedLink", "Clicked link", "web", 3, .active = true),
        EVENT_TYPE("closedTicket", "Closed ticket", "contactCenter", 12, .active = true),
        EVENT_TYPE("completedOrder", "Completed order", "purchase", 12, .active = true, .product_aware = true),
        EVENT_TYPE("eventConfirmed", "Event confirmed", "attendance", 12, .active = true),
        EVENT_TYPE("eventDeclined", "Event declined", "attendance", 12, .active = true),
        EVENT_TYPE("eventEligible", "Event eligible", "attendance", 12, .active = false),
        EVENT_TYPE("eventInvited", "Event invited", "attendance", 12, .active = false),
        EVENT_TYPE("eventNoShow", "Event no show", "attendance", 12, .active = true),
        EVENT_TYPE("eventNotInvited", "Event not invited", "attendance", 12, .active = false),
        EVENT_TYPE("eventParticipated", "Event participated", "attendance", 12, .active = true),
        EVENT_TYPE("eventRegistered", "Event registered", "attendance", 12, .active = true),
        EVENT_TYPE("formCompiled", "Form compiled", "web", 12, .active = true),
        EVENT_TYPE("genericActiveEvent", "Generic active event", "generic", 12, .active = true),
        EVENT_TYPE("genericPassiveEvent", "Generic passive event", "generic", 12, .active = false),
        EVENT_TYPE("grantedCoupon", "Granted coupon", "loyalty", 12, .active = false),
        EVENT_TYPE("loggedIn", "Logged in", "web", 12, .active = true),
        EVENT_TYPE("loggedOut", "Logged out", "web", 12, .active = true),
        EVENT_TYPE("openedTicket", "Opened ticket", "contactCenter", 12, .active = true),
        EVENT_TYPE("orderShipped", "Order shipped", "ecommerce", 12, .active = false),
        EVENT_TYPE("removedCompare", "Removed compare", "ecommerce", 3, .active = true, .product_aware = true),
        EVENT_TYPE("removedProduct", "Removed product", "ecommerce", 12, .active = true, .product_aware = true),
        EVENT_TYPE("removedReward", "Removed reward", "loyalty", 12, .active = false),
        EVENT_TYPE("removedWishlist", "Removed wishlist", "ecommerce", 12, .active = true, .product_aware = true),
        EVENT_TYPE("repliedTicket", "Replied ticket", "contactCenter", 12, .active = false),
        EVENT_TYPE("reviewedProduct", "Reviewed product", "ecommerce", 12, .active = true, .product_aware = true),
        EVENT_TYPE("searched", "Searched", "web", 12, .active = true),
        EVENT_TYPE("serviceSubscribed", "Service subscribed", "service", 12, .active = true),
        EVENT_TYPE("serviceUnsubscribed", "Service unsubscribed", "service", 12, .active = true),
        EVENT_TYPE("surveyCompiled", "Survey compiled", "survey", 12, .active = true),
        EVENT_TYPE("viewedPage", "Viewed page", "web", 3, .active = true),
        EVENT_TYPE("viewedProduct", "Viewed product", "ecommerce", 3, .active = true, .product_aware = true),
        EVENT_TYPE("viewedProductCategory", "Viewed product category", "ecommerce", 3, .active = true),
};

#define EVENT_CONTEXT(id_, label_)                                                                                     \
	{                                                                                                              \
		.id = TEXT(id_), .label = TEXT(label_)                                                                 \
	}

const struct event_context event_contexts[EVENT_CONTEXT_COUNT] = {
        EVENT_CONTEXT("WEB", "Web site"),
        EVENT_CONTEXT("MOBILE", "Mobile app"),
        EVENT_CONTEXT("ECOMMERCE", "Online shop"),
        EVENT_CONTEXT("RETAIL", "Physical shop"),
        EVENT_CONTEXT("SOCIAL", "Social network"),
        EVENT_CONTEXT("DIGITAL_CAMPAIGN", "Digital campaign"),
        EVENT_CONTEXT("CONTACT_CENTER", "Contact centre"),
        EVENT_CONTEXT("IOT", "Connected device"),
        EVENT_CONTEXT("OTHER", "Anything else"),
};

static int compare_event_type(const void *key, const void *row)
{
	return str_compare(*(const struct str *)key, ((const struct event_type *)row)->id);
}

const struct event_type *event_type_find(struct str id)
{
	return bsearch(&id, event_types, EVENT_TYPE_COUNT, sizeof(*event_types), compare_event_type);
}

const struct event_context *event_context_find(struct str id)
{
	for (size_t i = 0; i < EVENT_CONTEXT_COUNT; i++) {
		if (str_eq(event_contexts[i].id, id))
			return &event_contexts[i];
	}
	return NULL;
}

static int compare_row(const void *key, const void *row)
{
	return str_compare(*(const struct str *)key, ((const struct catalog_row *)row)->name);
}

static const struct catalog_row *find_row(struct str name)
{
	return bsearch(&name, catalog_rows, catalog_row_count, sizeof(*catalog_rows), compare_row);
}

const struct json *catalog_document(struct str name)
{
	static const struct json *documents[DOCUMENTS_MAX];
	static struct arena *arena;
	const struct catalog_row *row = find_row(name);
	const struct json **document;
	struct err err;

	if (!row)
		return NULL;
	document = &documents[row - catalog_rows];
	if (*document)
		return *document;
	if (!arena)
		arena = arena_new(DOCUMENTS_BYTES);
	*document = json_parse(arena, row->text, &err);
	if (!*document)
		log_die("catalog", "%.*s: %s %s", STR_ARG(name), err.message, err.pointer);
	return *document;
}

const struct json *catalog_resolve(struct str reference)
{
	struct str name, token;
	const struct json *found;

	if (!str_split(&reference, '#', &name))
		return NULL;
	found = catalog_document(name);
	/* The part before the first slash is empty; names of definitions need no escapes. */
	if (!str_split(&reference, '/', &token))
		return found;
	while (found && str_split(&reference, '/', &token))
		found = json_get(found, token);
	return found;
}

size_t catalog_count(void)
{
	return catalog_row_count;
}

struct str catalog_name(size_t index)
{
	return catalog_rows[index].name;
}
