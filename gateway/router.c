#include "gateway/router.h"

#include "common/buf.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

/* The methods that rows may have. */
static const struct str methods[] = {{"GET", 3}, {"POST", 4}, {"PUT", 3}, {"PATCH", 5}, {"DELETE", 6}};
#define METHOD_COUNT ARRAY_LEN(methods)
#define METHODS_TEXT_BYTES 64

/* One segment of one or more paths. */
struct node {
	struct str literal; /* absent for parameters */
	struct node *next;  /* sibling */
	struct node *children;
	struct node *param; /* child for {name} */
	struct node *rest;  /* child for {name+}: the end */
	const struct route *rows[METHOD_COUNT];
	char methods[METHODS_TEXT_BYTES]; /* empty when no path ends here */
};

struct router {
	struct node root;
};

static int method_index(struct str method)
{
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		if (str_eq(method, methods[i]))
			return (int)i;
	}
	return -1;
}

static bool is_param(struct str segment)
{
	return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
}

static bool is_rest(struct str segment)
{
	return is_param(segment) && segment.p[segment.n - 2] == '+';
}

/* "customerId" of "{customerId}", "path" of "{path+}". */
static struct str param_name(struct str segment)
{
	return (struct str){segment.p + 1, segment.n - (is_rest(segment) ? 3 : 2)};
}

static struct node *node_new(struct str literal)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		log_die("memory", "out of memory");
	node->literal = literal;
	return node;
}

static struct node *node_child(const struct node *node, struct str literal)
{
	for (struct node *child = node->children; child; child = child->next) {
		if (str_eq(child->literal, literal))
			return child;
	}
	return NULL;
}

static struct node *literal_child(struct node *parent, struct str literal)
{
	struct node *child = node_child(parent, literal);

	if (!child) {
		child = node_new(literal);
		child->next = parent->children;
		parent->children = child;
	}
	return child;
}

static struct node *child_for(struct node *parent, struct str segment)
{
	struct node **slot = is_rest(segment) ? &parent->rest : &parent->param;

	if (!is_param(segment))
		return literal_child(parent, segment);
	if (!*slot)
		*slot = node_new(STR_NONE);
	return *slot;
}

static void add_row(struct router *router, const struct route *row)
{
	struct node *node = &router->root;
	struct str rest = str_of(row->path + 1), segment;
	int method = method_index(str_of(row->method));

	while (str_split(&rest, '/', &segment))
		node = child_for(node, segment);
	if (method < 0 || row->path[0] != '/' || node->rows[method])
		log_die("routes", "row %d (%s %s) is malformed or there twice", row->operation, row->method, row->path);
	node->rows[method] = row;
}

static void describe_methods(struct node *node)
{
	size_t n = 0;

	for (size_t i = 0; i < METHOD_COUNT; i++) {
		if (node->rows[i])
			n += (size_t)snprintf(
			        node->methods + n, sizeof(node->methods) - n, "%s, ", i ? methods[i].p : "GET, HEAD");
	}
	if (n)
		snprintf(node->methods + n, sizeof(node->methods) - n, "OPTIONS");
	for (struct node *child = node->children; child; child = child->next)
		describe_methods(child);
	if (node->param)
		describe_methods(node->param);
	if (node->rest)
		describe_methods(node->rest);
}

struct router *router_new(const struct route *rows, size_t n_rows)
{
	struct router *router = calloc(1, sizeof(*router));

	if (!router)
		log_die("memory", "out of memory");
	for (size_t i = 0; i < n_rows; i++)
		add_row(router, &rows[i]);
	describe_methods(&router->root);
	return router;
}

static void free_below(struct node *node)
{
	struct node *next;

	for (struct node *child = node->children; child; child = next) {
		next = child->next;
		free_below(child);
		free(child);
	}
	if (node->param)
		free_below(node->param);
	if (node->rest)
		free_below(node->rest);
	free(node->param);
	free(node->rest);
}

void router_free(struct router *router)
{
	if (router)
		free_below(&router->root);
	free(router);
}

static struct str join(struct arena *arena, const struct str *segments, size_t n)
{
	struct buf buf;

	buf_init(&buf, arena, 64);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add_char(&buf, '/');
		buf_add_str(&buf, segments[i]);
	}
	return buf_str(&buf);
}

/* A walk through the tree; values are set from the first segment on, so that a way that fails is simply overwritten. */
struct walk {
	struct arena *arena;
	const struct str *segments;
	size_t n_segments;
	struct str *values;
};

static const struct node *find(struct walk *walk, const struct node *node, size_t at, size_t n_values)
{
	const struct node *found;

	if (at == walk->n_segments)
		return *node->methods ? node : NULL;
	struct node *literal = node_child(node, walk->segments[at]);
	if (literal && (found = find(walk, literal, at + 1, n_values)))
		return found;
	if (walk->segments[at].n == 0 || n_values == ROUTE_MAX_PARAMS)
		return NULL;
	if (node->param) {
		walk->values[n_values] = walk->segments[at];
		if ((found = find(walk, node->param, at + 1, n_values + 1)))
			return found;
	}
	if (node->rest)
		walk->values[n_values] = join(walk->arena, walk->segments + at, walk->n_segments - at);
	return node->rest;
}

static void name_params(struct route_match *match)
{
	struct str rest = str_of(match->route->path + 1), segment;

	match->n_params = 0;
	while (str_split(&rest, '/', &segment)) {
		if (is_param(segment))
			match->names[match->n_params++] = param_name(segment);
	}
}

enum route_result router_find(const struct router *router, struct arena *arena, struct str method,
        const struct str *segments, size_t n_segments, struct route_match *ret_match)
{
	struct walk walk = {
	        .arena = arena, .segments = segments, .n_segments = n_segments, .values = ret_match->values};
	const struct node *node = find(&walk, &router->root, 0, 0);
	int index = method_index(method);

	ret_match->route = NULL;
	ret_match->n_params = 0;
	ret_match->methods = "OPTIONS";
	if (!node)
		return ROUTE_UNKNOWN_PATH;
	ret_match->methods = node->methods;
	if (index < 0 || !node->rows[index])
		return ROUTE_UNKNOWN_METHOD;
	ret_match->route = node->rows[index];
	name_params(ret_match);
	return ROUTE_FOUND;
}
