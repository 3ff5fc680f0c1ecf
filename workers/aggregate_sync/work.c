#include "workers/aggregate_sync/work.h"

#include "common/arena.h"
#include "common/customer_row.h"

#include <stdlib.h>

/* What MOST_MEMBER_BYTES of the densest documents take, with the profile made of them, is less; all else is kept to
 * MOST_READ_BYTES. */
#define SLICE_ARENA_BYTES (1024UL * 1024 * 1024)
/* Targets of a slice. */
#define SLICE_TARGETS 1000

void work_init(struct work *work, struct batch *batch)
{
	*work = (struct work){.batch = batch,
	        .arena = batch_arena(batch),
	        .slice = arena_new(SLICE_ARENA_BYTES),
	        .db = batch_db(batch)};
	rows_init(&work->joins, work->arena, "uuuub");
}

void work_free(struct work *work)
{
	arena_free(work->slice);
}

/* --- what is known
 * ---------------------------------------------------------------------------------------------------- */

/* The nodes of a workspace stand together, and have its extended properties together. */
static const struct json *extended_of_last(const struct work *work, const struct uuid *workspace)
{
	const struct profile_node *last = work->n_nodes ? &work->nodes[work->n_nodes - 1] : NULL;

	return last && uuid_eq(&last->workspace, workspace) ? last->extended : NULL;
}

static bool read_node(struct work *work, const PGresult *rows, int row, struct err *err)
{
	struct uuid workspace = db_uuid(rows, row, 0), id = db_uuid(rows, row, 1);
	struct json *doc = json_parse(work->arena, arena_str(work->arena, db_text(rows, row, 2)), err);
	const struct json *extended = extended_of_last(work, &workspace);

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

static void make_room(struct work *work)
{
	struct target *before = work->targets;

	if (work->n_targets < work->room_for_targets)
		return;
	work->room_for_targets = work->n_targets ? 2 * work->n_targets : 64;
	work->targets = arena_alloc(work->arena, work->room_for_targets * sizeof(*work->targets));
	if (work->n_targets)
		memcpy(work->targets, before, work->n_targets * sizeof(*work->targets));
}

void work_add_target(struct work *work, const struct profile_node *node, const struct uuid *id, bool moved)
{
	make_room(work);
	work->targets[work->n_targets++] = (struct target){.node = node, .id = *id, .moved = moved};
}

static int by_target_id(const void *a, const void *b)
{
	const struct target *left = a, *right = b;

	return uuid_compare(&left->id, &right->id);
}

/* Puts the targets into the order of their ids, each once. */
static void order_targets(struct work *work)
{
	size_t kept = 0;

	if (work->n_targets)
		qsort(work->targets, work->n_targets, sizeof(*work->targets), by_target_id);
	for (size_t i = 0; i < work->n_targets; i++) {
		if (kept && uuid_eq(&work->targets[kept - 1].id, &work->targets[i].id))
			work->targets[kept - 1].moved |= work->targets[i].moved;
		else
			work->targets[kept++] = work->targets[i];
	}
	work->n_targets = kept;
}

static int by_id(const void *a, const void *b)
{
	const struct known *left = a, *right = b;
	int order = uuid_compare(&left->workspace, &right->workspace);

	return order ? order : uuid_compare(&left->customer.id, &right->customer.id);
}

/* NULL when the customer is not among those whose memberships are looked at. */
static const struct known *find_known(const struct work *work, const struct uuid *workspace, const struct uuid *id)
{
	struct known wanted = {.workspace = *workspace, .customer.id = *id};

	return work->n_known ? bsearch(&wanted, work->known, work->n_known, sizeof(wanted), by_id) : NULL;
}

bool work_read_member(
        struct arena *arena, const PGresult *rows, int row, int first, struct customer *ret_member, struct err *err)
{
	int times = first + CUSTOMER_ROW_WIDTH;

	if (!customer_row_read(arena, rows, row, first, ret_member, err))
		return false;
	if (db_is_null(rows, row, times))
		return true;
	ret_member->consent_times = json_parse(arena, arena_str(arena, db_text(rows, row, times)), err);
	return ret_member->consent_times;
}

/* --- slices
 * ----------------------------------------------------------------------------------------------------------- */

/* Targets that are made together: from the first one up to, and without, the last one that has room. */
struct slice {
	struct work *work;
	size_t first, end;
	size_t most_used_bytes;     /* of the slice's arena: from there on the slice takes no more targets */
	const PGresult *members;    /* who they are, by target and id */
	const struct known **found; /* by row of `members`; NULL: not read, or gone */
	int row;                    /* of `members`: those before it are counted in their targets' bytes */
	const int *asked;           /* rows of `members` whose customers are read, in their order */
	struct known *others;       /* these customers */
	size_t n_others;
	bool good;
	struct err *err;
};

/* Whether there is no room for what is read, or made, for this target: the slice then ends before it. The first target
 * has room always. */
static bool ends_before(struct slice *slice, size_t target)
{
	if (target == slice->first || arena_used_bytes(slice->work->slice) < slice->most_used_bytes)
		return false;
	slice->end = target;
	return true;
}

static size_t target_of_row(const struct slice *slice, int row)
{
	return slice->first + (size_t)db_i64(slice->members, row, 0) - 1;
}

static void count_before(struct slice *slice, int row)
{
	for (; slice->row < row; slice->row++)
		if (slice->found[slice->row])
			slice->work->targets[target_of_row(slice, slice->row)].member_bytes +=
			        slice->found[slice->row]->bytes;
}

static bool take_other_member(void *context, const PGresult *row)
{
	struct slice *slice = context;
	struct work *work = slice->work;
	struct known *other = &slice->others[slice->n_others];
	int member = slice->asked[db_i64(row, 0, 0) - 1];
	size_t number = target_of_row(slice, member);

	if (ends_before(slice, number))
		return false;
	count_before(slice, member);
	if (work->targets[number].member_bytes >= MOST_MEMBER_BYTES)
		return true;
	other->workspace = db_uuid(row, 0, 1);
	other->bytes = db_text(row, 0, 2 + CUSTOMER_ROW_DOC).n;
	slice->good = work_read_member(work->slice, row, 0, 2, &other->customer, slice->err);
	slice->found[member] = other;
	slice->n_others++;
	return slice->good;
}

/* Reads the members that are not among the customers whose memberships are looked at. */
static bool find_members(struct slice *slice, struct err *err)
{
	struct work *work = slice->work;
	struct arena *arena = work->slice;
	size_t n_rows = (size_t)PQntuples(slice->members), n_asked = 0;
	int *asked = arena_alloc(arena, (n_rows + 1) * sizeof(*asked));
	struct db_array workspaces, ids;
	struct db_params params;

	slice->found = arena_alloc(arena, (n_rows + 1) * sizeof(*slice->found));
	db_array_init(&workspaces, arena, DB_UUID);
	db_array_init(&ids, arena, DB_UUID);
	for (int row = 0; row < PQntuples(slice->members); row++) {
		struct uuid id = db_uuid(slice->members, row, 2);
		const struct uuid *workspace = &work->targets[target_of_row(slice, row)].node->workspace;
		slice->found[row] = find_known(work, workspace, &id);
		if (slice->found[row])
			continue;
		asked[n_asked++] = row;
		db_array_uuid(&workspaces, workspace);
		db_array_uuid(&ids, &id);
	}
	if (!n_asked)
		return true;
	slice->asked = asked;
	slice->others = arena_alloc(arena, n_asked * sizeof(*slice->others));
	db_params_init(&params, arena);
	db_param_array(&params, &workspaces);
	db_param_array(&params, &ids);
	slice->most_used_bytes = arena_used_bytes(arena) + MOST_READ_BYTES;
	return db_ask_each(work->db, "sync_other_customers", &params, take_other_member, slice, err) && slice->good;
}

/* Room for the members of the row's target, of which it is the first that is there. */
static void begin_members(struct slice *slice, struct target *target, int row)
{
	int end = row;

	while (end < PQntuples(slice->members) && db_i64(slice->members, end, 0) == db_i64(slice->members, row, 0))
		end++;
	target->members = arena_alloc(slice->work->slice, (size_t)(end - row) * sizeof(*target->members));
	target->member_bytes = 0;
	target->was_excluded = db_i64(slice->members, row, 1);
}

static void take_members(struct slice *slice)
{
	struct work *work = slice->work;

	for (int row = 0; row < PQntuples(slice->members); row++) {
		size_t number = target_of_row(slice, row);
		struct target *target = &work->targets[number];
		if (number >= slice->end)
			return;
		bool excluded = db_i64(slice->members, row, 1);
		const struct known *member = slice->found[row];
		if (!member)
			continue; /* it is gone: the fact of that follows */
		if (!target->members)
			begin_members(slice, target, row);
		if (target->member_bytes >= MOST_MEMBER_BYTES)
			continue;
		target->member_bytes += member->bytes;
		target->mixed = target->mixed || excluded != target->was_excluded;
		target->members[target->n_members++] = member->customer;
	}
}

static bool take_profile(void *context, const PGresult *row)
{
	struct slice *slice = context;
	size_t number = slice->first + (size_t)db_i64(row, 0, 0) - 1;
	struct target *target = &slice->work->targets[number];

	if (ends_before(slice, number))
		return false;
	struct err ignored = {0};
	target->stored = true;
	/* a document that cannot be read leaves no document to compare with */
	if (!customer_row_read(slice->work->slice, row, 0, 1, &target->present, &ignored))
		target->present.doc = NULL;
	return true;
}

/* Workspace and id of each target of the slice. */
static void target_params(const struct slice *slice, struct db_params *params)
{
	const struct work *work = slice->work;
	struct db_array workspaces, ids;

	db_array_init(&workspaces, work->slice, DB_UUID);
	db_array_init(&ids, work->slice, DB_UUID);
	for (size_t i = slice->first; i < slice->end; i++) {
		db_array_uuid(&workspaces, &work->targets[i].node->workspace);
		db_array_uuid(&ids, &work->targets[i].id);
	}
	db_params_init(params, work->slice);
	db_param_array(params, &workspaces);
	db_param_array(params, &ids);
}

static bool load_members(struct slice *slice, struct err *err)
{
	struct db_params params;

	target_params(slice, &params);
	PGresult *rows = db_ask(slice->work->db, "sync_members", &params, err);
	slice->members = rows;
	bool good = rows && find_members(slice, err);
	if (good)
		take_members(slice);
	PQclear(rows);
	return good;
}

static bool load_profiles(struct slice *slice, struct err *err)
{
	struct db_params params;

	target_params(slice, &params);
	slice->most_used_bytes = arena_used_bytes(slice->work->slice) + MOST_READ_BYTES;
	return db_ask_each(slice->work->db, "sync_profiles", &params, take_profile, slice, err) && slice->good;
}

/* --- what becomes of it
 * ----------------------------------------------------------------------------------------------- */

static bool is_same(const struct customer *a, const struct customer *b)
{
	return a->doc && b->doc && a->int_id == b->int_id && a->version == b->version &&
	       a->registered_us == b->registered_us && a->updated_us == b->updated_us &&
	       uuid_eq(&a->registered_by, &b->registered_by) && uuid_eq(&a->updated_by, &b->updated_by) &&
	       json_equal(a->doc, b->doc);
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
	db_array_text(&columns[11], customer_doc_write(work->slice, profile->doc));
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
		        profile_merge(work->slice, target->node, &target->id, target->members, target->n_members);
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

static void init_rows(struct work *work)
{
	rows_init(&work->exclusions, work->slice, "uub");
	rows_init(&work->creates, work->slice, "uuullllbuutJ");
	rows_init(&work->updates, work->slice, "uuullllbuutJ");
	rows_init(&work->deletes, work->slice, "uu");
}

static bool make_slice_of_members(struct slice *slice, struct err *err)
{
	struct work *work = slice->work;

	if (!load_profiles(slice, err))
		return false;
	init_rows(work);
	slice->most_used_bytes = arena_used_bytes(work->slice) + MOST_READ_BYTES;
	for (size_t i = slice->first; i < slice->end && !ends_before(slice, i); i++)
		make_profile(work, &work->targets[i]);
	return rows_write(&work->exclusions, work->db, "sync_exclude", -1, err) &&
	       rows_write(&work->deletes, work->db, "sync_delete", rows_count(&work->deletes), err) &&
	       rows_write(&work->updates, work->db, "sync_update", rows_count(&work->updates), err) &&
	       rows_write(&work->creates, work->db, "sync_create", rows_count(&work->creates), err);
}

bool work_make_of_members(struct work *work, struct err *err)
{
	struct slice slice = {.work = work, .end = work->n_targets, .good = true, .err = err};

	if (work->n_targets && !make_slice_of_members(&slice, err))
		return false;
	work->n_targets = slice.end;
	return true;
}

/* The targets from the first one on, as many as there is room for. */
static bool make_slice(struct work *work, size_t first, size_t most, size_t *ret_n, struct err *err)
{
	size_t left = work->n_targets - first;
	struct slice slice = {
	        .work = work, .first = first, .end = first + (left < most ? left : most), .good = true, .err = err};

	arena_reset(work->slice);
	for (size_t i = first; i < slice.end; i++) { /* the slice before may have begun with it */
		const struct target *target = &work->targets[i];
		work->targets[i] = (struct target){.node = target->node, .id = target->id, .moved = target->moved};
	}
	if (!load_members(&slice, err) || !make_slice_of_members(&slice, err))
		return false;
	*ret_n = slice.end - first;
	return true;
}

/* Where not all had room, fewer are asked for next. */
bool work_make(struct work *work, struct err *err)
{
	size_t most = SLICE_TARGETS, n;

	order_targets(work);
	for (size_t first = 0; first < work->n_targets; first += n) {
		if (!make_slice(work, first, most, &n, err))
			return false;
		most = n < most ? n : most * 2 < SLICE_TARGETS ? most * 2 : SLICE_TARGETS;
	}
	return true;
}
