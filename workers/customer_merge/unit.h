#ifndef CUSTOMER_MERGE_UNIT_H
#define CUSTOMER_MERGE_UNIT_H

#include "common/customer.h"
#include "common/key_table.h"

struct arena;

/*
 * Unit of work: what a run of commands knows and changes, in memory, so that a later command sees what an earlier one
 * did. load.c fills it with one round trip and write.c writes what became of it with another; apply.c works on it in
 * between.
 * All of it is in the batch's arena.
 */
enum binding_kind { BINDING_SESSION = 1, BINDING_EXTERNAL_ID = 2 }; /* as in table bindings */

#define BINDING_OPEN INT64_MAX

struct unit_customer {
	struct uuid workspace;
	struct customer now; /* present state */
	bool stored;         /* has a row */
	bool changed;        /* since it was loaded or made */
	bool deleted;
	int64_t deleted_us;
	bool has_key;
	struct uuid key;
	bool had_key; /* in the table */
	struct uuid old_key;
	struct unit_binding
	        *bindings;          /* the open ones that are known; all of them for a customer that is to be deleted */
	bool knows_external_ids;    /* all of those that are open */
	struct unit_customer *next; /* in the order in which they came */
};

/* A session value or an external id that belongs, or belonged, to a customer. */
struct unit_binding {
	struct unit_value *value;
	struct unit_customer *holder; /* NULL when only its id is known */
	struct uuid customer;
	struct uuid session; /* nil for external ids */
	int64_t bound_us;
	int64_t unbound_us; /* BINDING_OPEN */
	bool stored;
	struct unit_binding *next_of_value, *next_of_customer, *next;
};

struct unit_value {
	struct uuid workspace;
	struct uuid node;
	enum binding_kind kind;
	struct str text;
	bool loaded;                   /* the first open binding is known, whichever end in this run */
	struct unit_binding *bindings; /* open and closed ones that are known */
	bool past;                     /* in the list of past values */
	struct unit_value *next_past;
};

struct unit_head {
	struct uuid workspace;
	int64_t last_int_id;
	bool changed;
	struct unit_head *next;
};

struct unit {
	struct arena *arena;
	struct key_table customers, used, keys, values, asked;
	struct unit_customer *first_customer, *last_customer;
	struct unit_binding *first_binding, *last_binding;
	struct unit_head *heads;
	/* Values that customers which may be deleted had before: events of theirs may still come. */
	struct unit_value *past_values;
};

/* n_commands only sizes the tables. */
void unit_init(struct unit *unit, struct arena *arena, size_t n_commands);

/* Live customer, or NULL when there is none (any more). */
struct unit_customer *unit_find(const struct unit *unit, const struct uuid *workspace, const struct uuid *id);
/* A loaded or new customer; one that is known already stays as it is. */
struct unit_customer *unit_add(
        struct unit *unit, const struct uuid *workspace, const struct customer *customer, bool stored);
void unit_delete(struct unit *unit, struct unit_customer *customer, int64_t now_us);
/* An id that the table has, or had. */
void unit_know_used(struct unit *unit, const struct uuid *workspace, const struct uuid *id);
bool unit_is_used(const struct unit *unit, const struct uuid *workspace, const struct uuid *id);

/* What is asked of the tables about an id. True when it is for the first time: many commands may name one customer. */
enum unit_question { UNIT_CUSTOMER, UNIT_USED, UNIT_BINDINGS, UNIT_PAST };
bool unit_ask(struct unit *unit, enum unit_question question, const struct uuid *workspace, const struct uuid *id);

/* Unique keys. What is not known has to be loaded first. */
bool unit_key_is_known(
        const struct unit *unit, const struct uuid *workspace, const struct uuid *node, const struct uuid *key);
/* holder NULL: nobody has it. */
void unit_know_key(struct unit *unit, const struct uuid *workspace, const struct uuid *node, const struct uuid *key,
        struct unit_customer *holder);
struct unit_customer *unit_find_by_key(
        const struct unit *unit, const struct uuid *workspace, const struct uuid *node, const struct uuid *key);
/* Gives the customer another key, or none (NULL). The key must be free. */
void unit_set_key(struct unit *unit, struct unit_customer *customer, const struct uuid *key);

/* Bindings. */
struct unit_value *unit_value(struct unit *unit, const struct uuid *workspace, const struct uuid *node,
        enum binding_kind kind, struct str text);
/* The earliest open one, then the lowest id; NULL when the value is free. */
struct unit_binding *unit_open_binding(const struct unit_value *value);
/* The open one of a customer, or NULL. */
struct unit_binding *unit_binding_of(const struct unit_value *value, const struct uuid *customer);
/* One that the table has open; a known one stays as it is. */
struct unit_binding *unit_know_binding(struct unit *unit, struct unit_value *value, const struct uuid *customer,
        const struct uuid *session, int64_t bound_us);
struct unit_binding *unit_bind(struct unit *unit, struct unit_value *value, struct unit_customer *customer,
        const struct uuid *session, int64_t now_us);
void unit_unbind(struct unit_binding *binding, int64_t now_us);
void unit_know_past(struct unit *unit, struct unit_value *value);

/* Counter of a workspace, made when it is missing. */
struct unit_head *unit_head(struct unit *unit, const struct uuid *workspace);

#endif
