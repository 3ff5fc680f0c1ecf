#include "workers/aggregate_sync/work.h"

#include "common/arena.h"
#include "common/customer_row.h"

/*
 * A node that is active no more loses its members and profiles. A build has two parts. First the entry customers, by
 * id, are placed: each becomes a member of the profile that it belongs to. Then the profiles are made, by id, each once
 * and from all its members. Facts of customers that change meanwhile place them and make their profiles at any time, so
 * that it does not matter what of it a build sees.
 */

/* Rows of a step: fewer where documents are large. */
#define FIRST_ROWS 500
#define MOST_ROWS 4000
/* Rows of other nodes are passed over: so many rows are looked at for each one that a step may take. */
#define LOOKED_AT_PER_ROW 8
#define MOST_BYTES (4 * 1024 * 1024)

struct build {
	struct uuid workspace, node;
	bool drops;        /* first of all */
	bool makes;        /* else it places */
	struct uuid after; /* the last customer, or profile, that it has seen; nil = none yet */
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
		        .makes = db_i64(rows, row, 2),
		        .after = db_uuid(rows, row, 3),
		        .extended_version = db_i64(rows, row, 4),
		        .drops = db_i64(rows, row, 5)};
		/* without a process around it (in tests) every workspace is ours */
		*ret_found = !worker || worker_owns(worker, workspace_partition(&ret_build->workspace,
		                                                    worker_partition_count(worker)));
	}
	PQclear(rows);
	return true;
}

static void adapt(struct sync_state *state, size_t bytes)
{
	if (bytes > MOST_BYTES && state->rows > 1)
		state->rows /= 2;
	else if (bytes < MOST_BYTES / 2 && state->rows < state->most_rows)
		state->rows = state->rows * 2 < state->most_rows ? state->rows * 2 : state->most_rows;
}

static void node_params(struct work *work, const struct build *build, struct db_params *params)
{
	db_params_init(params, work->arena);
	db_param_uuid(params, &build->workspace);
	db_param_uuid(params, &build->node);
}

static void chunk_params(struct work *work, const struct build *build, struct db_params *params, int64_t rows)
{
	node_params(work, build, params);
	db_param_uuid(params, &build->after);
	db_param_i64(params, rows);
}

/* What comes first in the rows of both parts: an id, whether it is this node's, and whether it is the last one that was
 * looked at. */
enum { CHUNK_ID, CHUNK_IS_OURS, CHUNK_IS_LAST, CHUNK_WIDTH };

/* --- placing
 * ---------------------------------------------------------------------------------------------------------- */

struct placed {
	struct uuid id, profile;
};

/* Customers that belong to no profile yet; and some of those that do, to another one. */
struct placing {
	struct work *work;
	const struct profile_node *node;
	struct placed *customers; /* by id, as the members are */
	int64_t n_customers;
	struct uuid last; /* that was looked at, if there may be more behind it */
	bool is_more;
	const PGresult *members;
	int n_members;
	int member; /* the next one */
	struct db_array ids, profiles;
	size_t bytes;
	bool good;
	struct err *err;
};

/* An external id is a column of its own. */
static bool matches_by_documents(const struct profile_node *node)
{
	for (size_t i = 0; i < node->matching.n_unique; i++)
		if (!str_is(node->matching.unique[i], "externalId"))
			return true;
	return false;
}

/* The document is needed no longer than for the profile's id. */
static bool take_customer(void *context, const PGresult *row)
{
	struct placing *placing = context;
	struct arena *arena = placing->work->slice;
	struct customer customer = {.id = db_uuid(row, 0, CHUNK_ID)};
	struct str external_id = db_text(row, 0, CHUNK_WIDTH), doc = db_text(row, 0, CHUNK_WIDTH + 1);

	placing->last = customer.id;
	placing->is_more = db_i64(row, 0, CHUNK_IS_LAST);
	if (!db_i64(row, 0, CHUNK_IS_OURS))
		return true;
	arena_reset(arena);
	customer.doc = customer_doc_read(arena, doc.p ? doc : STR("{}"), external_id, true, placing->err);
	placing->bytes += doc.n;
	placing->good = customer.doc;
	if (!customer.doc)
		return false;
	placing->customers[placing->n_customers++] =
	        (struct placed){customer.id, profile_id(arena, placing->node, &customer)};
	return true;
}

/* The profile that the customer belongs to so far. */
static bool find_present(struct placing *placing, const struct uuid *customer, struct uuid *ret_profile)
{
	for (; placing->member < placing->n_members; placing->member++) {
		struct uuid member = db_uuid(placing->members, placing->member, 0);
		int order = uuid_compare(&member, customer);
		if (!order)
			*ret_profile = db_uuid(placing->members, placing->member, 1);
		if (order >= 0)
			return !order;
	}
	return false;
}

static void place(struct work *work, struct placing *placing, const struct placed *customer)
{
	struct uuid before;

	if (!find_present(placing, &customer->id, &before)) {
		db_array_uuid(&placing->ids, &customer->id);
		db_array_uuid(&placing->profiles, &customer->profile);
	} else if (!uuid_eq(&before, &customer->profile)) {
		/* the fact of its change will find it there already: both are made here */
		work_join(work, placing->node, &customer->id, &customer->profile);
		work_add_target(work, placing->node, &before, true);
		work_add_target(work, placing->node, &customer->profile, true);
	}
}

/* A profile that is there already is made at once: who joins it may be beyond those that it is made of, and what has
 * been made would then look as if nothing had changed. */
static bool add_made(struct work *work, struct placing *placing, struct err *err)
{
	struct db_params params;

	if (!placing->ids.n)
		return true;
	db_params_init(&params, work->arena);
	db_param_uuid(&params, &placing->node->workspace);
	db_param_uuid(&params, &placing->node->id);
	db_param_array(&params, &placing->profiles);
	PGresult *rows = db_ask(work->db, "sync_made", &params, err);
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid profile = db_uuid(rows, row, 0);
		work_add_target(work, placing->node, &profile, true);
	}
	PQclear(rows);
	return true;
}

static bool write_places(struct work *work, struct placing *placing, struct err *err)
{
	struct db_params params;

	db_params_init(&params, work->arena);
	db_param_uuid(&params, &placing->node->workspace);
	db_param_uuid(&params, &placing->node->id);
	db_param_array(&params, &placing->ids);
	db_param_array(&params, &placing->profiles);
	db_param_bool(&params, work_hides_at_first(placing->node));
	return (!placing->ids.n ||
	               db_send_expect(work->db, "sync_place", &params, placing->ids.n, ERR_INTERNAL, err)) &&
	       rows_write(&work->joins, work->db, "sync_join", -1, err) && work_make(work, err);
}

static bool place_all(struct work *work, struct placing *placing, struct err *err)
{
	db_array_init(&placing->ids, work->arena, DB_UUID);
	db_array_init(&placing->profiles, work->arena, DB_UUID);
	for (int64_t i = 0; i < placing->n_customers; i++)
		place(work, placing, &placing->customers[i]);
	return add_made(work, placing, err) && write_places(work, placing, err);
}

/* Memberships of the customers from behind build->after up to and including the last one. */
static bool place_among_members(struct work *work, struct placing *placing, const struct build *build, struct err *err)
{
	struct db_params params;

	node_params(work, build, &params);
	db_param_uuid(&params, &build->after);
	db_param_uuid(&params, &placing->customers[placing->n_customers - 1].id);
	PGresult *rows = db_ask(work->db, "sync_member_chunk", &params, err);
	if (!rows)
		return false;
	placing->members = rows;
	placing->n_members = PQntuples(rows);
	bool good = place_all(work, placing, err);
	PQclear(rows);
	return good;
}

/* The next customers; behind the last one the profiles begin. */
static bool place_chunk(struct work *work, struct sync_state *state, struct build *build, struct err *err)
{
	struct placing placing = {.work = work, .node = &work->nodes[0], .good = true, .err = err};
	struct db_params params;

	placing.customers = arena_alloc(work->arena, (size_t)state->rows * sizeof(*placing.customers));
	chunk_params(work, build, &params, state->rows);
	db_param_bool(&params, matches_by_documents(placing.node));
	db_param_i64(&params, LOOKED_AT_PER_ROW * state->rows);
	if (!db_ask_each(work->db, "sync_customer_chunk", &params, take_customer, &placing, err) || !placing.good ||
	        (placing.n_customers && !place_among_members(work, &placing, build, err)))
		return false;
	build->makes = placing.n_customers < state->rows && !placing.is_more;
	build->after = build->makes ? (struct uuid){{0}} : placing.last;
	adapt(state, placing.bytes);
	return true;
}

/* --- making
 * ---------------------------------------------------------------------------------------------------------- */

/* Rows of members by profile and customer. */
struct making {
	struct work *work;
	struct customer *members;
	int64_t n_rows;
	size_t bytes;
	bool is_full;       /* of the last profile some members may be missing: it is left to the next step */
	struct uuid passed; /* of another node: the last one that was looked at; nil = all have been */
	struct uuid first;
	bool good;
	struct err *err;
};

static struct target *target_of(struct work *work, const struct uuid *id, bool excluded, struct customer *members)
{
	struct target *target = work->n_targets ? &work->targets[work->n_targets - 1] : NULL;

	if (target && uuid_eq(&target->id, id))
		return target;
	target = &work->targets[work->n_targets++];
	*target = (struct target){.node = &work->nodes[0], .id = *id, .members = members, .was_excluded = excluded};
	return target;
}

#define MEMBER_AT (CHUNK_WIDTH + 1)

/* A customer that is gone has no more than its membership, until the fact of that comes. */
static bool take_member(void *context, const PGresult *row)
{
	struct making *making = context;
	struct work *work = making->work;
	struct uuid id = db_uuid(row, 0, CHUNK_ID);
	bool is_last = db_i64(row, 0, CHUNK_IS_LAST), excluded = db_i64(row, 0, CHUNK_WIDTH);

	if (!db_i64(row, 0, CHUNK_IS_OURS)) {
		making->passed = id;
		return true;
	}
	if (arena_used_bytes(work->slice) > MOST_READ_BYTES) {
		making->is_full = true;
		making->bytes = MOST_BYTES + 1; /* fewer next time */
		return false;
	}
	if (!making->n_rows)
		making->first = id;
	struct target *target = target_of(work, &id, excluded, &making->members[making->n_rows++]);
	target->mixed = target->mixed || excluded != target->was_excluded;
	size_t bytes = db_text(row, 0, MEMBER_AT + CUSTOMER_ROW_DOC).n;
	making->bytes += bytes;
	making->is_full = is_last;
	if (db_is_null(row, 0, MEMBER_AT) || target->n_members == MAX_MEMBERS ||
	        target->member_bytes >= MOST_MEMBER_BYTES)
		return true;
	target->member_bytes += bytes;
	making->good =
	        work_read_member(work->slice, row, 0, MEMBER_AT, &target->members[target->n_members++], making->err);
	return making->good;
}

/* One profile that is too much for a step is made as if a fact told of it. */
static bool make_taken(struct making *making, struct err *err)
{
	struct work *work = making->work;

	if (making->is_full)
		work->n_targets--;
	if (work->n_targets || !making->n_rows)
		return work_make_of_members(work, err);
	work_add_target(work, &work->nodes[0], &making->first, false);
	return work_make(work, err);
}

static bool make_chunk(struct work *work, struct sync_state *state, struct build *build, bool *ret_end, struct err *err)
{
	struct making making = {.work = work, .good = true, .err = err};
	struct db_params params;

	work->room_for_targets = (size_t)state->rows + 1;
	work->targets = arena_alloc(work->arena, work->room_for_targets * sizeof(*work->targets));
	making.members = arena_alloc(work->arena, (size_t)state->rows * sizeof(*making.members));
	chunk_params(work, build, &params, state->rows);
	db_param_i64(&params, LOOKED_AT_PER_ROW * state->rows);
	if (!db_ask_each(work->db, "sync_profile_chunk", &params, take_member, &making, err) || !making.good)
		return false;
	making.is_full = making.is_full || making.n_rows == state->rows;
	size_t n_taken = work->n_targets;
	if (!make_taken(&making, err))
		return false;
	adapt(state, making.bytes);
	bool all_made = !making.is_full && work->n_targets == n_taken, passed = !uuid_is_nil(&making.passed);
	*ret_end = all_made && !passed;
	if (all_made && passed)
		build->after = making.passed;
	else if (work->n_targets)
		build->after = work->targets[work->n_targets - 1].id;
	return true;
}

/* --- dropping
 * --------------------------------------------------------------------------------------------------------- */

static bool drop_profiles(struct work *work, const struct build *build, const PGresult *rows, struct err *err)
{
	struct db_params params;
	struct db_array ids;

	db_array_init(&ids, work->arena, DB_UUID);
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid id = db_uuid(rows, row, 0);

		db_array_uuid(&ids, &id);
	}
	node_params(work, build, &params);
	db_param_array(&params, &ids);
	PGresult *gone = db_ask(work->db, "sync_drop_profiles", &params, err);
	if (!gone)
		return false;
	for (int row = 0; row < PQntuples(gone); row++) {
		struct uuid id = db_uuid(gone, row, 0);

		batch_change(work->batch, &build->workspace, &build->node, ENTITY_CUSTOMER, &id, CHANGE_DELETE,
		        db_i64(gone, row, 1));
	}
	PQclear(gone);
	return true;
}

static bool note_drop(struct work *work, const struct build *build, bool end, struct err *err)
{
	struct db_params params;

	node_params(work, build, &params);
	db_param_uuid(&params, end ? NULL : &build->after);
	db_param_bool(&params, !end);
	return db_send_expect(work->db, "sync_dropped", &params, 1, ERR_DATABASE, err);
}

/* Profiles with their members, then profiles that a fact has made meanwhile, of a node that is active again. */
static bool drop_chunk(struct work *work, const struct sync_state *state, struct build *build, struct err *err)
{
	struct db_params params;
	PGresult *rows;

	chunk_params(work, build, &params, state->most_rows);
	rows = db_ask(work->db, "sync_drop_members", &params, err);
	if (rows && PQntuples(rows))
		build->after = db_uuid(rows, PQntuples(rows) - 1, 0);
	bool members = rows && PQntuples(rows);
	if (rows && !members) {
		PQclear(rows);
		node_params(work, build, &params);
		db_param_i64(&params, state->most_rows);
		rows = db_ask(work->db, "sync_profiles_left", &params, err);
	}
	bool good = rows && drop_profiles(work, build, rows, err) &&
	            note_drop(work, build, !members && PQntuples(rows) < state->most_rows, err);
	PQclear(rows);
	return good;
}

/* --- steps
 * ------------------------------------------------------------------------------------------------------------ */

static bool note_progress(struct work *work, const struct build *build, bool end, struct err *err)
{
	struct db_params params;

	node_params(work, build, &params);
	db_param_uuid(&params, end || build->makes ? NULL : &build->after);
	db_param_uuid(&params, end || !build->makes ? NULL : &build->after);
	db_param_bool(&params, !end);
	db_param_i64(&params, build->extended_version);
	return db_send_expect(work->db, "sync_built", &params, 1, ERR_DATABASE, err);
}

static bool take_step(struct work *work, bool *ret_more, struct err *err)
{
	struct sync_state *state = batch_state(work->batch);
	struct db_array workspaces;
	struct build build;
	bool end = false;

	if (!db_send_expect(work->db, "sync_stale", NULL, -1, ERR_INTERNAL, err) ||
	        !find_build(work, &build, ret_more, err))
		return false;
	if (!*ret_more)
		return true;
	if (build.drops)
		return drop_chunk(work, state, &build, err);
	db_array_init(&workspaces, work->arena, DB_UUID);
	db_array_uuid(&workspaces, &build.workspace);
	if (!work_load_nodes(work, &workspaces, &build.node, err))
		return false;
	if (!work->n_nodes)
		end = true; /* it is not active: nothing is to be built */
	else if (!(build.makes ? make_chunk(work, state, &build, &end, err) : place_chunk(work, state, &build, err)))
		return false;
	return note_progress(work, &build, end, err);
}

bool sync_background(struct batch *batch, bool *ret_more, struct err *err)
{
	struct work work;

	work_init(&work, batch);
	bool good = take_step(&work, ret_more, err);
	work_free(&work);
	return good;
}

void sync_state_init(struct sync_state *state, int64_t most_rows)
{
	*state = (struct sync_state){.rows = FIRST_ROWS < most_rows ? FIRST_ROWS : most_rows, .most_rows = most_rows};
}

void *sync_open(struct worker *worker, struct err *err)
{
	static struct sync_state state;
	PGresult *done = db_query(worker_db(worker), "sync_settings", NULL, err);

	PQclear(done);
	sync_state_init(&state, MOST_ROWS);
	return done ? &state : NULL;
}
