#include "workers/aggregate_sync/sync.h"

#include "common/arena.h"
#include "common/customer_row.h"
#include "common/rows.h"
#include "workers/aggregate_sync/profile.h"

#include <stdlib.h>

#define BUILD_CUSTOMERS 500

/* A customer that has been read: it may be a member of several profiles. */
struct known {
	struct uuid workspace;
	struct customer customer;
};

/* A profile that is to be made anew. */
struct target {
	const struct profile_node *node;
	struct uuid id;
	struct customer *members;
	size_t n_members;
	bool moved;        /* customers joined or left: their events do, too, even if nothing else shows it */
	bool was_excluded; /* what the members' rows say */
	bool mixed;        /* some say so */
	bool stored;
	struct customer present;
};

struct work {
	struct batch *batch;
	struct arena *arena;
	struct db *db;
	struct db_array workspaces, customers; /* whose memberships are looked at */
	struct profile_node *nodes;
	size_t n_nodes;
	struct known *known; /* by workspace and id */
	size_t n_known;
	struct target *targets;
	size_t n_targets;
	struct rows leaves, joins, exclusions, puts, deletes;
};

static void work_init(struct work *work, struct batch *batch)
{
	struct arena *arena = batch_arena(batch);

	*work = (struct work){.batch = batch, .arena = arena, .db = batch_db(batch)};
	db_array_init(&work->workspaces, arena, DB_UUID);
	db_array_init(&work->customers, arena, DB_UUID);
	rows_init(&work->leaves, arena, "uuu");
	rows_init(&work->joins, arena, "uuuu");
	rows_init(&work->exclusions, arena, "uub");
	rows_init(&work->puts, arena, "uuullllbuutj");
	rows_init(&work->deletes, arena, "uu");
}

static void add_customer(struct work *work, const struct uuid *workspace, const struct uuid *customer)
{
	db_array_uuid(&work->workspaces, workspace);
	db_array_uuid(&work->customers, customer);
}

/* --- what is known
 * ---------------------------------------------------------------------------------------------------- */

static bool read_node(struct work *work, const PGresult *rows, int row, struct err *err)
{
	struct uuid workspace = db_uuid(rows, row, 0), id = db_uuid(rows, row, 1);
	struct json *doc = json_parse(work->arena, arena_str(work->arena, db_text(rows, row, 2)), err);
	struct json *extended = NULL;

	if (doc && !db_is_null(rows, row, 3)) {
		extended = json_parse(work->arena, arena_str(work->arena, db_text(rows, row, 3)), err);
		doc = extended ? doc : NULL;
	}
	if (!doc)
		return false;
	work->nodes[work->n_nodes++] = profile_node_read(work->arena, &workspace, &id, doc, extended);
	return true;
}

/* only: that node; NULL = all that there are. */
static bool load_nodes(struct work *work, const struct uuid *only, struct err *err)
{
	struct db_params params;
	bool good = true;

	db_params_init(&params, work->arena);
	db_param_array(&params, &work->workspaces);
	db_param_uuid(&params, only);
	PGresult *rows = db_ask(work->db, "sync_nodes", &params, err);
	if (!rows)
		return false;
	work->nodes = arena_alloc(work->arena, ((size_t)PQntuples(rows) + 1) * sizeof(*work->nodes));
	for (int row = 0; row < PQntuples(rows) && good; row++)
		good = read_node(work, rows, row, err);
	PQclear(rows);
	return good;
}

static const struct profile_node *find_node(
        const struct work *work, const struct uuid *workspace, const struct uuid *id)
{
	for (size_t i = 0; i < work->n_nodes; i++)
		if (uuid_eq(&work->nodes[i].id, id) && uuid_eq(&work->nodes[i].workspace, workspace))
			return &work->nodes[i];
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	const struct known *left = a, *right = b;
	int order = uuid_compare(&left->workspace, &right->workspace);

	return order ? order : uuid_compare(&left->customer.id, &right->customer.id);
}

/* What is read is kept sorted: rows come in that order. NULL when the customer has not been read. */
static const struct customer *find_known(const struct work *work, const struct uuid *workspace, const struct uuid *id)
{
	struct known wanted = {.workspace = *workspace, .customer.id = *id};
	const struct known *found = bsearch(&wanted, work->known, work->n_known, sizeof(wanted), by_id);

	return found ? &found->customer : NULL;
}

static bool read_consent_times(
        const struct work *work, const PGresult *rows, int row, int column, struct customer *customer, struct err *err)
{
	if (db_is_null(rows, row, column))
		return true;
	customer->consent_times = json_parse(work->arena, arena_str(work->arena, db_text(rows, row, column)), err);
	return customer->consent_times;
}

/* A customer stands in the rows once for each node. */
static const struct customer *know_customer(
        struct work *work, const struct uuid *workspace, const PGresult *rows, int row, int first, struct err *err)
{
	struct uuid id = db_uuid(rows, row, first);
	struct known *last = work->n_known ? &work->known[work->n_known - 1] : NULL;

	if (last && uuid_eq(&last->customer.id, &id) && uuid_eq(&last->workspace, workspace))
		return &last->customer;
	last = &work->known[work->n_known];
	last->workspace = *workspace;
	if (!customer_row_read(work->arena, rows, row, first, &last->customer, err) ||
	        !read_consent_times(work, rows, row, first + CUSTOMER_ROW_WIDTH, &last->customer, err))
		return NULL;
	work->n_known++;
	return &last->customer;
}

/* Targets are few hundred: looked for in order of their ids, which is how they are kept. */
static void add_target(struct work *work, const struct profile_node *node, const struct uuid *id, bool moved)
{
	size_t low = 0, high = work->n_targets;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(work->targets[middle].id.b, id->b, sizeof(id->b));
		if (!order) {
			work->targets[middle].moved |= moved;
			return;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	memmove(&work->targets[low + 1], &work->targets[low], (work->n_targets - low) * sizeof(*work->targets));
	work->targets[low] = (struct target){.node = node, .id = *id, .moved = moved};
	work->n_targets++;
}

/* One customer in one node: joins, moves, leaves, or has changed. */
static bool place_customer(struct work *work, const PGresult *rows, int row, struct err *err)
{
	struct uuid workspace = db_uuid(rows, row, 0), node_id = db_uuid(rows, row, 1), id = db_uuid(rows, row, 2);
	const struct profile_node *node = find_node(work, &workspace, &node_id);
	bool was_member = !db_is_null(rows, row, 3), is_member = !db_is_null(rows, row, 4);
	struct uuid before = db_uuid(rows, row, 3), now = {{0}};

	if (!node)
		return true;
	if (is_member) {
		const struct customer *customer = know_customer(work, &workspace, rows, row, 4, err);
		if (!customer)
			return false;
		now = profile_id(work->arena, node, customer);
		add_target(work, node, &now, !was_member || !uuid_eq(&before, &now));
	}
	if (was_member && (!is_member || !uuid_eq(&before, &now)))
		add_target(work, node, &before, true);
	if (is_member && (!was_member || !uuid_eq(&before, &now))) {
		db_array_uuid(&work->joins.columns[0], &workspace);
		db_array_uuid(&work->joins.columns[1], &node_id);
		db_array_uuid(&work->joins.columns[2], &id);
		db_array_uuid(&work->joins.columns[3], &now);
	} else if (!is_member) {
		db_array_uuid(&work->leaves.columns[0], &workspace);
		db_array_uuid(&work->leaves.columns[1], &node_id);
		db_array_uuid(&work->leaves.columns[2], &id);
	}
	return true;
}

/* The statement's rows: each customer with each node. */
static bool place_customers(struct work *work, const char *statement, const struct db_params *params, struct err *err)
{
	bool good = true;
	PGresult *rows = db_ask(work->db, statement, params, err);

	if (!rows)
		return false;
	work->known = arena_alloc(work->arena, ((size_t)PQntuples(rows) + 1) * sizeof(*work->known));
	work->targets = arena_alloc(work->arena, (2 * (size_t)PQntuples(rows) + 1) * sizeof(*work->targets));
	for (int row = 0; row < PQntuples(rows) && good; row++)
		good = place_customer(work, rows, row, err);
	PQclear(rows);
	return good && rows_write(&work->leaves, work->db, "sync_leave", -1, err) &&
	       rows_write(&work->joins, work->db, "sync_join", -1, err);
}

/* Reads the members that are not among the customers whose memberships are looked at. */
static bool read_other_members(struct work *work, const PGresult *rows, struct err *err)
{
	struct db_array workspaces, ids;
	struct db_params params;
	bool good = true;

	db_array_init(&workspaces, work->arena, DB_UUID);
	db_array_init(&ids, work->arena, DB_UUID);
	for (int row = 0; row < PQntuples(rows); row++) {
		const struct uuid *workspace = &work->targets[db_i64(rows, row, 0)].node->workspace;
		struct uuid id = db_uuid(rows, row, 2);
		if (find_known(work, workspace, &id))
			continue;
		db_array_uuid(&workspaces, workspace);
		db_array_uuid(&ids, &id);
	}
	if (!ids.n)
		return true;
	db_params_init(&params, work->arena);
	db_param_array(&params, &workspaces);
	db_param_array(&params, &ids);
	PGresult *others = db_ask(work->db, "sync_other_customers", &params, err);
	if (!others)
		return false;
	struct known *before = work->known;
	work->known = arena_alloc(work->arena, (work->n_known + (size_t)PQntuples(others)) * sizeof(*work->known));
	memcpy(work->known, before, work->n_known * sizeof(*work->known));
	for (int row = 0; row < PQntuples(others) && good; row++) {
		struct uuid workspace = db_uuid(others, row, 0);
		good = know_customer(work, &workspace, others, row, 1, err);
	}
	PQclear(others);
	qsort(work->known, work->n_known, sizeof(*work->known), by_id);
	return good;
}

static void take_members(struct work *work, const PGresult *rows)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		struct target *target = &work->targets[db_i64(rows, row, 0)];
		bool excluded = db_i64(rows, row, 1);
		struct uuid id = db_uuid(rows, row, 2);
		const struct customer *member = find_known(work, &target->node->workspace, &id);
		if (!member)
			continue; /* it is gone: the fact of that follows */
		if (!target->members) {
			int end = row;
			while (end < PQntuples(rows) && db_i64(rows, end, 0) == db_i64(rows, row, 0))
				end++;
			target->members = arena_alloc(work->arena, (size_t)(end - row) * sizeof(*target->members));
			target->was_excluded = excluded;
		}
		target->mixed = target->mixed || excluded != target->was_excluded;
		target->members[target->n_members++] = *member;
	}
}

static bool take_profiles(struct work *work, const PGresult *rows, struct err *err)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		struct target *target = &work->targets[db_i64(rows, row, 0)];
		target->stored = true;
		if (!customer_row_read(work->arena, rows, row, 1, &target->present, err))
			return false;
	}
	return true;
}

static bool load_targets(struct work *work, struct err *err)
{
	struct db_array numbers, workspaces, ids;
	struct db_params params;

	db_array_init(&numbers, work->arena, DB_I32);
	db_array_init(&workspaces, work->arena, DB_UUID);
	db_array_init(&ids, work->arena, DB_UUID);
	for (size_t i = 0; i < work->n_targets; i++) {
		db_array_i64(&numbers, (int64_t)i);
		db_array_uuid(&workspaces, &work->targets[i].node->workspace);
		db_array_uuid(&ids, &work->targets[i].id);
	}
	db_params_init(&params, work->arena);
	db_param_array(&params, &numbers);
	db_param_array(&params, &workspaces);
	db_param_array(&params, &ids);
	if (!db_send(work->db, "sync_members", &params, err) || !db_send(work->db, "sync_profiles", &params, err) ||
	        !db_flush(work->db, err))
		return false;
	PGresult *members = db_result(work->db, err);
	PGresult *profiles = members ? db_result(work->db, err) : NULL;
	bool good = profiles && read_other_members(work, members, err) && take_profiles(work, profiles, err);
	if (good)
		take_members(work, members);
	PQclear(members);
	PQclear(profiles);
	return good;
}

/* --- what becomes of it
 * ----------------------------------------------------------------------------------------------- */

static bool is_same(const struct customer *a, const struct customer *b)
{
	return a->int_id == b->int_id && a->version == b->version && a->registered_us == b->registered_us &&
	       a->updated_us == b->updated_us && uuid_eq(&a->registered_by, &b->registered_by) &&
	       uuid_eq(&a->updated_by, &b->updated_by) && json_equal(a->doc, b->doc);
}

static const struct uuid *uuid_or_null(const struct uuid *id)
{
	return uuid_is_nil(id) ? NULL : id;
}

static void put(struct work *work, const struct target *target, const struct customer *profile)
{
	struct db_array *columns = work->puts.columns;

	db_array_uuid(&columns[0], &target->node->workspace);
	db_array_uuid(&columns[1], &profile->id);
	db_array_uuid(&columns[2], &profile->node);
	db_array_i64(&columns[3], profile->int_id);
	db_array_i64(&columns[4], profile->version);
	db_array_i64(&columns[5], profile->registered_us);
	db_array_i64(&columns[6], profile->updated_us);
	db_array_i64(&columns[7], customer_enabled(profile));
	db_array_uuid(&columns[8], uuid_or_null(&profile->registered_by));
	db_array_uuid(&columns[9], uuid_or_null(&profile->updated_by));
	db_array_text(&columns[10], customer_external_id(profile));
	db_array_text(&columns[11], customer_doc_write(work->arena, profile->doc));
	batch_change(work->batch, &target->node->workspace, &profile->node, ENTITY_CUSTOMER, &profile->id,
	        target->stored ? CHANGE_UPDATE : CHANGE_CREATE, profile->version);
}

static void take_away(struct work *work, const struct target *target)
{
	db_array_uuid(&work->deletes.columns[0], &target->node->workspace);
	db_array_uuid(&work->deletes.columns[1], &target->id);
	batch_change(work->batch, &target->node->workspace, &target->node->id, ENTITY_CUSTOMER, &target->id,
	        CHANGE_DELETE, target->present.version);
}

static void exclude(struct work *work, const struct target *target, bool excluded)
{
	/* who has joined is not excluded yet, and is not looked at beyond those that the profile is made of */
	if (!(target->moved && excluded) && !target->mixed && target->was_excluded == excluded)
		return;
	db_array_uuid(&work->exclusions.columns[0], &target->node->workspace);
	db_array_uuid(&work->exclusions.columns[1], &target->id);
	db_array_i64(&work->exclusions.columns[2], excluded);
}

static void make_profile(struct work *work, const struct target *target)
{
	bool excluded = false;

	if (target->n_members) {
		struct customer profile =
		        profile_merge(work->arena, target->node, &target->id, target->members, target->n_members);
		excluded = profile_is_excluded(target->node, &profile);
		exclude(work, target, excluded);
		if (!excluded && (target->moved || !target->stored || !is_same(&profile, &target->present)))
			put(work, target, &profile);
	}
	if (target->stored && (excluded || !target->n_members))
		take_away(work, target);
}

static bool make_profiles(struct work *work, struct err *err)
{
	if (!load_targets(work, err))
		return false;
	for (size_t i = 0; i < work->n_targets; i++)
		make_profile(work, &work->targets[i]);
	return rows_write(&work->exclusions, work->db, "sync_exclude", -1, err) &&
	       rows_write(&work->deletes, work->db, "sync_delete", rows_count(&work->deletes), err) &&
	       rows_write(&work->puts, work->db, "sync_put", rows_count(&work->puts), err);
}

/* Brings the memberships of the customers, and the profiles that they touch, up to what the tables hold. */
static bool sync_customers(struct work *work, struct err *err)
{
	struct db_params params;

	if (!work->customers.n)
		return true;
	if (!load_nodes(work, NULL, err))
		return false;
	if (!work->n_nodes)
		return true;
	db_params_init(&params, work->arena);
	db_param_array(&params, &work->workspaces);
	db_param_array(&params, &work->customers);
	return place_customers(work, "sync_customers", &params, err) && make_profiles(work, err);
}

/* --- rules
 * ------------------------------------------------------------------------------------------------------------ */

static bool drop_profiles(struct work *work, struct db_params *params, struct err *err)
{
	if (!db_send_expect(work->db, "sync_drop_members", params, -1, ERR_INTERNAL, err))
		return false;
	PGresult *rows = db_ask(work->db, "sync_drop_profiles", params, err);
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid workspace = db_uuid(rows, row, 0), node = db_uuid(rows, row, 1), id = db_uuid(rows, row, 2);
		batch_change(work->batch, &workspace, &node, ENTITY_CUSTOMER, &id, CHANGE_DELETE, db_i64(rows, row, 3));
	}
	PQclear(rows);
	return true;
}

static bool apply_rule(struct work *work, const struct command *rule, struct err *err)
{
	struct json *doc = json_parse(work->arena, rule->body, err);
	struct db_params params, node;
	uint64_t seq;

	if (!doc)
		return false;
	if (!str_to_u64(rule->text, INT64_MAX, &seq))
		return err_set(err, ERR_INVALID, "the rule has no number");
	bool active = str_is(json_text(json_member(doc, "state")), "ACTIVE");
	db_params_init(&params, work->arena);
	db_param_uuid(&params, &rule->workspace);
	db_param_uuid(&params, &rule->node);
	db_param_i64(&params, (int64_t)seq);
	db_param_bool(&params, active);
	db_param_jsonb(&params, rule->body);
	PGresult *done = db_ask(work->db, "sync_rule", &params, err);
	if (!done)
		return false;
	/* one that comes again, perhaps behind newer ones, says nothing */
	bool is_old = !strcmp(PQcmdTuples(done), "0");
	PQclear(done);
	db_params_init(&node, work->arena);
	db_param_uuid(&node, &rule->workspace);
	db_param_uuid(&node, &rule->node);
	return active || is_old || drop_profiles(work, &node, err);
}

bool sync_handle(struct batch *batch, struct err *err)
{
	struct work work;

	work_init(&work, batch);
	for (size_t i = 0; i < batch_size(batch); i++) {
		const struct command *record = batch_command(batch, i);
		if (batch_skip(batch, i))
			continue;
		if (record->type == COMMAND_AGGREGATE_RULES && !apply_rule(&work, record, err))
			return false;
		if (record->type == COMMAND_CHANGE && record->item == ENTITY_CUSTOMER)
			add_customer(&work, &record->workspace, &record->entity);
	}
	return sync_customers(&work, err);
}

/* --- builds
 * ----------------------------------------------------------------------------------------------------------- */

/* A node that is being built; its customers are taken by id. */
struct build {
	struct uuid workspace, node;
	struct uuid built_to; /* nil = none yet */
	int64_t extended_version;
};

/* The first node that is being built and whose facts this process owns. */
static bool find_build(struct work *work, struct build *ret_build, bool *ret_found, struct err *err)
{
	struct worker *worker = batch_worker(work->batch);
	PGresult *rows = db_ask(work->db, "sync_builds", NULL, err);

	*ret_found = false;
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows) && !*ret_found; row++) {
		*ret_build = (struct build){.workspace = db_uuid(rows, row, 0),
		        .node = db_uuid(rows, row, 1),
		        .built_to = db_uuid(rows, row, 2),
		        .extended_version = db_i64(rows, row, 3)};
		/* without a process around it (in tests) every workspace is ours */
		*ret_found = !worker || worker_owns(worker, workspace_partition(&ret_build->workspace,
		                                                    worker_partition_count(worker)));
	}
	PQclear(rows);
	return true;
}

/* The next customers of the build; *ret_end: there are none. */
static bool place_chunk(struct work *work, struct build *build, bool *ret_end, struct err *err)
{
	struct db_params params;

	db_array_uuid(&work->workspaces, &build->workspace);
	if (!load_nodes(work, &build->node, err))
		return false;
	db_params_init(&params, work->arena);
	db_param_uuid(&params, &build->workspace);
	db_param_uuid(&params, &build->node);
	db_param_uuid(&params, &build->built_to);
	db_param_i64(&params, BUILD_CUSTOMERS);
	if (!place_customers(work, "sync_build_chunk", &params, err))
		return false;
	*ret_end = !work->n_known;
	if (work->n_known)
		build->built_to = work->known[work->n_known - 1].customer.id;
	return true;
}

bool sync_background(struct batch *batch, bool *ret_more, struct err *err)
{
	struct db_params params;
	struct build build;
	struct work work;
	bool end;

	work_init(&work, batch);
	if (!db_send_expect(work.db, "sync_stale", NULL, -1, ERR_INTERNAL, err) ||
	        !find_build(&work, &build, ret_more, err))
		return false;
	if (!*ret_more)
		return true;
	if (!place_chunk(&work, &build, &end, err))
		return false;
	db_params_init(&params, work.arena);
	db_param_uuid(&params, &build.workspace);
	db_param_uuid(&params, &build.node);
	db_param_uuid(&params, end ? NULL : &build.built_to);
	db_param_i64(&params, build.extended_version);
	return db_send_expect(work.db, "sync_built", &params, 1, ERR_DATABASE, err) &&
	       (end || make_profiles(&work, err));
}
