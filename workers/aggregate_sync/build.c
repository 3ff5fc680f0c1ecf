#include "workers/aggregate_sync/work.h"

#include "common/arena.h"
#include "common/customer_row.h"

/*
 * A build has two parts. First the entry customers, by id, are placed: each becomes a member of the profile that it
 * belongs to. Then the profiles are made, by id, each once and from all its members. Facts of customers that change
 * meanwhile place them and make their profiles at any time, so that it does not matter what of it a build sees.
 */

/* Rows of a step: fewer where documents are large. */
#define FIRST_ROWS 500
#define MOST_ROWS 4000
#define MOST_BYTES (4 * 1024 * 1024)

struct build {
	struct uuid workspace, node;
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
		        .extended_version = db_i64(rows, row, 4)};
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

static void chunk_params(struct work *work, const struct build *build, struct db_params *params, int64_t rows)
{
	db_params_init(params, work->arena);
	db_param_uuid(params, &build->workspace);
	db_param_uuid(params, &build->node);
	db_param_uuid(params, &build->after);
	db_param_i64(params, rows);
}

/* --- placing
 * ---------------------------------------------------------------------------------------------------------- */

/* Customers that belong to no profile yet; and some of those that do, to another one. */
struct placing {
	const struct profile_node *node;
	const PGresult *customers, *members; /* both by id */
	int n_customers, n_members;
	int member; /* the next one */
	struct db_array ids, profiles;
	size_t bytes;
};

/* An external id is a column of its own. */
static bool matches_by_documents(const struct profile_node *node)
{
	for (size_t i = 0; i < node->matching.n_unique; i++)
		if (!str_is(node->matching.unique[i], "externalId"))
			return true;
	return false;
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

static bool place(struct work *work, struct placing *placing, int row, struct err *err)
{
	struct customer customer = {.id = db_uuid(placing->customers, row, 0)};
	struct str external_id = db_text(placing->customers, row, 1), doc = db_text(placing->customers, row, 2);
	struct uuid before;

	customer.doc = customer_doc_read(work->arena, doc.p ? doc : STR("{}"), external_id, true, err);
	if (!customer.doc)
		return false;
	placing->bytes += doc.n;
	struct uuid now = profile_id(work->arena, placing->node, &customer);
	if (!find_present(placing, &customer.id, &before)) {
		db_array_uuid(&placing->ids, &customer.id);
		db_array_uuid(&placing->profiles, &now);
	} else if (!uuid_eq(&before, &now)) {
		/* the fact of its change will find it there already: both are made here */
		work_join(work, placing->node, &customer.id, &now);
		work_add_target(work, placing->node, &before, true);
		work_add_target(work, placing->node, &now, true);
	}
	return true;
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

static bool place_rows(struct work *work, struct placing *placing, struct err *err)
{
	db_array_init(&placing->ids, work->arena, DB_UUID);
	db_array_init(&placing->profiles, work->arena, DB_UUID);
	work->targets = arena_alloc(work->arena, 2 * (size_t)placing->n_customers * sizeof(*work->targets));
	for (int row = 0; row < placing->n_customers; row++)
		if (!place(work, placing, row, err))
			return false;
	return add_made(work, placing, err) && write_places(work, placing, err);
}

/* Memberships of the customers from behind build->after up to and including the last one. */
static bool place_among_members(struct work *work, struct placing *placing, const struct build *build, struct err *err)
{
	struct uuid last = db_uuid(placing->customers, placing->n_customers - 1, 0);
	struct db_params params;

	db_params_init(&params, work->arena);
	db_param_uuid(&params, &build->workspace);
	db_param_uuid(&params, &build->node);
	db_param_uuid(&params, &build->after);
	db_param_uuid(&params, &last);
	PGresult *rows = db_ask(work->db, "sync_member_chunk", &params, err);
	if (!rows)
		return false;
	placing->members = rows;
	placing->n_members = PQntuples(rows);
	bool good = place_rows(work, placing, err);
	PQclear(rows);
	return good;
}

/* The next customers; behind the last one the profiles begin. */
static bool place_chunk(struct work *work, struct sync_state *state, struct build *build, struct err *err)
{
	struct placing placing = {.node = &work->nodes[0]};
	struct db_params params;

	chunk_params(work, build, &params, state->rows);
	db_param_bool(&params, matches_by_documents(placing.node));
	PGresult *rows = db_ask(work->db, "sync_customer_chunk", &params, err);
	if (!rows)
		return false;
	placing.customers = rows;
	placing.n_customers = PQntuples(rows);
	bool good = !placing.n_customers || place_among_members(work, &placing, build, err);
	build->makes = placing.n_customers < state->rows;
	build->after = build->makes ? (struct uuid){{0}} : db_uuid(rows, placing.n_customers - 1, 0);
	adapt(state, placing.bytes);
	PQclear(rows);
	return good;
}

/* --- making
 * ---------------------------------------------------------------------------------------------------------- */

/* Members of profiles; a customer that is gone has no more than its membership, until the fact of that comes. */
static bool take_member(struct work *work, struct customer *members, const PGresult *rows, int row, struct err *err)
{
	struct uuid id = db_uuid(rows, row, 0);
	bool excluded = db_i64(rows, row, 1);
	struct target *target = work->n_targets ? &work->targets[work->n_targets - 1] : NULL;

	if (!target || !uuid_eq(&target->id, &id)) {
		target = &work->targets[work->n_targets++];
		*target = (struct target){
		        .node = &work->nodes[0], .id = id, .members = &members[row], .was_excluded = excluded};
	}
	target->mixed = target->mixed || excluded != target->was_excluded;
	if (db_is_null(rows, row, 2) || target->n_members == MAX_MEMBERS)
		return true;
	return work_read_member(work, rows, row, 2, &target->members[target->n_members++], err);
}

/* The first of the last profile's rows. */
static int last_profile(const PGresult *rows)
{
	int row = PQntuples(rows) - 1;
	struct uuid last = db_uuid(rows, row, 0);

	while (row > 0) {
		struct uuid id = db_uuid(rows, row - 1, 0);
		if (!uuid_eq(&id, &last))
			break;
		row--;
	}
	return row;
}

/* Of a full chunk's last profile some members may be missing: it is left to the next one. */
static bool make_rows(struct work *work, const PGresult *rows, bool full, struct err *err)
{
	size_t n = (size_t)PQntuples(rows);
	struct customer *members = arena_alloc(work->arena, (n + 1) * sizeof(*members));
	int end = full ? last_profile(rows) : PQntuples(rows);

	work->targets = arena_alloc(work->arena, (n + 1) * sizeof(*work->targets));
	for (int row = 0; row < end; row++)
		if (!take_member(work, members, rows, row, err))
			return false;
	if (work->n_targets || !n)
		return work_make_of_members(work, err);
	struct uuid only = db_uuid(rows, 0, 0);
	work_add_target(work, &work->nodes[0], &only, false);
	return work_make(work, err);
}

static size_t document_bytes(const PGresult *rows)
{
	size_t bytes = 0;

	for (int row = 0; row < PQntuples(rows); row++)
		bytes += db_text(rows, row, 2 + CUSTOMER_ROW_DOC).n;
	return bytes;
}

static bool make_chunk(struct work *work, struct sync_state *state, struct build *build, bool *ret_end, struct err *err)
{
	struct db_params params;

	chunk_params(work, build, &params, state->rows);
	PGresult *rows = db_ask(work->db, "sync_profile_chunk", &params, err);
	if (!rows)
		return false;
	*ret_end = PQntuples(rows) < state->rows;
	bool good = make_rows(work, rows, !*ret_end, err);
	if (good && work->n_targets)
		build->after = work->targets[work->n_targets - 1].id;
	adapt(state, document_bytes(rows));
	PQclear(rows);
	return good;
}

/* --- steps
 * ------------------------------------------------------------------------------------------------------------ */

static bool note_progress(struct work *work, const struct build *build, bool end, struct err *err)
{
	struct db_params params;

	db_params_init(&params, work->arena);
	db_param_uuid(&params, &build->workspace);
	db_param_uuid(&params, &build->node);
	db_param_uuid(&params, end || build->makes ? NULL : &build->after);
	db_param_uuid(&params, end || !build->makes ? NULL : &build->after);
	db_param_bool(&params, !end);
	db_param_i64(&params, build->extended_version);
	return db_send_expect(work->db, "sync_built", &params, 1, ERR_DATABASE, err);
}

bool sync_background(struct batch *batch, bool *ret_more, struct err *err)
{
	struct sync_state *state = batch_state(batch);
	struct db_array workspaces;
	struct build build;
	struct work work;
	bool end = false;

	work_init(&work, batch);
	if (!db_send_expect(work.db, "sync_stale", NULL, -1, ERR_INTERNAL, err) ||
	        !find_build(&work, &build, ret_more, err))
		return false;
	if (!*ret_more)
		return true;
	db_array_init(&workspaces, work.arena, DB_UUID);
	db_array_uuid(&workspaces, &build.workspace);
	if (!work_load_nodes(&work, &workspaces, &build.node, err))
		return false;
	if (!work.n_nodes)
		end = true; /* it is not active: nothing is to be built */
	else if (!(build.makes ? make_chunk(&work, state, &build, &end, err) : place_chunk(&work, state, &build, err)))
		return false;
	return note_progress(&work, &build, end, err);
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
