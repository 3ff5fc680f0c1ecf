#include "workers/aggregate_sync/work.h"

#include "common/arena.h"
#include "common/customer_row.h"

#include <stdlib.h>

void work_init(struct work *work, struct batch *batch)
{
	struct arena *arena = batch_arena(batch);

	*work = (struct work){.batch = batch, .arena = arena, .db = batch_db(batch)};
	rows_init(&work->joins, arena, "uuuub");
	rows_init(&work->exclusions, arena, "uub");
	rows_init(&work->creates, arena, "uuullllbuutj");
	rows_init(&work->updates, arena, "uuullllbuutj");
	rows_init(&work->deletes, arena, "uu");
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

bool work_load_nodes(struct work *work, struct db_array *workspaces, const struct uuid *only, struct err *err)
{
	struct db_params params;
	bool good = true;

	db_params_init(&params, work->arena);
	db_param_array(&params, workspaces);
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

bool work_hides_at_first(const struct profile_node *node)
{
	return json_is(node->filters, JSON_ARRAY) && node->filters->first;
}

void work_join(
        struct work *work, const struct profile_node *node, const struct uuid *customer, const struct uuid *profile)
{
	db_array_uuid(&work->joins.columns[0], &node->workspace);
	db_array_uuid(&work->joins.columns[1], &node->id);
	db_array_uuid(&work->joins.columns[2], customer);
	db_array_uuid(&work->joins.columns[3], profile);
	db_array_i64(&work->joins.columns[4], work_hides_at_first(node));
}

/* Targets are few hundred: looked for in order of their ids, which is how they are kept. */
void work_add_target(struct work *work, const struct profile_node *node, const struct uuid *id, bool moved)
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
	const struct known *found =
	        work->n_known ? bsearch(&wanted, work->known, work->n_known, sizeof(wanted), by_id) : NULL;

	return found ? &found->customer : NULL;
}

bool work_read_member(
        struct work *work, const PGresult *rows, int row, int first, struct customer *ret_member, struct err *err)
{
	int times = first + CUSTOMER_ROW_WIDTH;

	if (!customer_row_read(work->arena, rows, row, first, ret_member, err))
		return false;
	if (db_is_null(rows, row, times))
		return true;
	ret_member->consent_times = json_parse(work->arena, arena_str(work->arena, db_text(rows, row, times)), err);
	return ret_member->consent_times;
}

/* A customer stands in the rows once for each node. */
const struct customer *work_know_customer(
        struct work *work, const struct uuid *workspace, const PGresult *rows, int row, int first, struct err *err)
{
	struct uuid id = db_uuid(rows, row, first);
	struct known *last = work->n_known ? &work->known[work->n_known - 1] : NULL;

	if (last && uuid_eq(&last->customer.id, &id) && uuid_eq(&last->workspace, workspace))
		return &last->customer;
	last = &work->known[work->n_known];
	last->workspace = *workspace;
	if (!work_read_member(work, rows, row, first, &last->customer, err))
		return NULL;
	work->n_known++;
	return &last->customer;
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
	if (work->n_known)
		memcpy(work->known, before, work->n_known * sizeof(*work->known));
	for (int row = 0; row < PQntuples(others) && good; row++) {
		struct uuid workspace = db_uuid(others, row, 0);
		good = work_know_customer(work, &workspace, others, row, 1, err);
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

/* Of each target: its number, workspace and id. */
static void target_params(struct work *work, struct db_params *params)
{
	struct db_array numbers, workspaces, ids;

	db_array_init(&numbers, work->arena, DB_I32);
	db_array_init(&workspaces, work->arena, DB_UUID);
	db_array_init(&ids, work->arena, DB_UUID);
	for (size_t i = 0; i < work->n_targets; i++) {
		db_array_i64(&numbers, (int64_t)i);
		db_array_uuid(&workspaces, &work->targets[i].node->workspace);
		db_array_uuid(&ids, &work->targets[i].id);
	}
	db_params_init(params, work->arena);
	db_param_array(params, &numbers);
	db_param_array(params, &workspaces);
	db_param_array(params, &ids);
}

static bool load_members(struct work *work, struct err *err)
{
	struct db_params params;

	target_params(work, &params);
	PGresult *rows = db_ask(work->db, "sync_members", &params, err);
	bool good = rows && read_other_members(work, rows, err);
	if (good)
		take_members(work, rows);
	PQclear(rows);
	return good;
}

static bool load_profiles(struct work *work, struct err *err)
{
	struct db_params params;

	target_params(work, &params);
	PGresult *rows = db_ask(work->db, "sync_profiles", &params, err);
	bool good = rows && take_profiles(work, rows, err);
	PQclear(rows);
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

/* Of a profile that no filter hides: it was there with the same members. */
static bool has_same_members(const struct target *target)
{
	return target->stored && !target->moved && !target->mixed && !target->was_excluded;
}

static void put(struct work *work, const struct target *target, const struct customer *profile)
{
	struct db_array *columns = target->stored ? work->updates.columns : work->creates.columns;

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
	batch_change_flagged(work->batch, &target->node->workspace, &profile->node, ENTITY_CUSTOMER, &profile->id,
	        target->stored ? CHANGE_UPDATE : CHANGE_CREATE, profile->version,
	        has_same_members(target) ? COMMAND_SAME_MEMBERS : 0);
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
	/* who has joined is as at first, and is not looked at beyond those that the profile is made of */
	bool as_at_first = !target->moved || excluded == work_hides_at_first(target->node);

	if (as_at_first && !target->mixed && target->was_excluded == excluded)
		return;
	db_array_uuid(&work->exclusions.columns[0], &target->node->workspace);
	db_array_uuid(&work->exclusions.columns[1], &target->id);
	db_array_i64(&work->exclusions.columns[2], excluded);
}

/* Its members' events may have been counted in it when no filter hid it yet: who counts must hear that it is not there.
 */
static void announce_hidden(struct work *work, const struct target *target, int64_t version)
{
	static const enum change_operation operations[] = {CHANGE_CREATE, CHANGE_DELETE};

	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		batch_change(work->batch, &target->node->workspace, &target->node->id, ENTITY_CUSTOMER, &target->id,
		        operations[i], version);
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
		if (excluded && !target->stored && (target->mixed || !target->was_excluded))
			announce_hidden(work, target, profile.version);
	}
	if (target->stored && (excluded || !target->n_members))
		take_away(work, target);
}

bool work_make_of_members(struct work *work, struct err *err)
{
	if (!work->n_targets)
		return true;
	if (!load_profiles(work, err))
		return false;
	for (size_t i = 0; i < work->n_targets; i++)
		make_profile(work, &work->targets[i]);
	return rows_write(&work->exclusions, work->db, "sync_exclude", -1, err) &&
	       rows_write(&work->deletes, work->db, "sync_delete", rows_count(&work->deletes), err) &&
	       rows_write(&work->updates, work->db, "sync_update", rows_count(&work->updates), err) &&
	       rows_write(&work->creates, work->db, "sync_create", rows_count(&work->creates), err);
}

bool work_make(struct work *work, struct err *err)
{
	return !work->n_targets || (load_members(work, err) && work_make_of_members(work, err));
}
