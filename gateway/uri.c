#include "gateway/uri.h"

#include "common/arena.h"

static bool needs_decoding(struct str raw, bool plus_is_blank)
{
	if (raw.n == 0)
		return false;
	return memchr(raw.p, '%', raw.n) || (plus_is_blank && memchr(raw.p, '+', raw.n));
}

static bool is_text(struct str s)
{
	return s.n == 0 || (!memchr(s.p, '\0', s.n) && str_is_utf8(s));
}

/* One character of raw at *i into *ret_c; moves *i behind it. */
static bool decode_one(struct str raw, size_t *i, bool plus_is_blank, char *ret_c)
{
	char c = raw.p[(*i)++];

	if (c == '%') {
		if (raw.n - *i < 2)
			return false;
		int high = str_hex_digit(raw.p[*i]), low = str_hex_digit(raw.p[*i + 1]);
		if (high < 0 || low < 0)
			return false;
		*i += 2;
		c = (char)(high << 4 | low);
	} else if (c == '+' && plus_is_blank) {
		c = ' ';
	}
	*ret_c = c;
	return true;
}

bool uri_decode(struct arena *arena, struct str raw, bool plus_is_blank, struct str *ret_text)
{
	struct str text = raw;

	if (needs_decoding(raw, plus_is_blank)) {
		char *out = arena_alloc(arena, raw.n + 1);
		size_t n = 0;
		for (size_t i = 0; i < raw.n; n++) {
			if (!decode_one(raw, &i, plus_is_blank, &out[n]))
				return false;
		}
		out[n] = '\0';
		text = (struct str){out, n};
	}
	if (!is_text(text))
		return false;
	*ret_text = text;
	return true;
}

static struct str skip_authority(struct str target)
{
	static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (target.n < schemes[i].n || !str_eq_nocase((struct str){target.p, schemes[i].n}, schemes[i]))
			continue;
		struct str rest = {target.p + schemes[i].n, target.n - schemes[i].n};
		const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
		return slash ? (struct str){slash, (size_t)(rest.p + rest.n - slash)} : STR_NONE;
	}
	return target;
}

bool uri_split(struct str target, struct str *ret_path, struct str *ret_query)
{
	struct str rest = target.n && target.p[0] == '/' ? target : skip_authority(target);

	if (rest.n == 0 || rest.p[0] != '/')
		return false;
	const char *mark = memchr(rest.p, '?', rest.n);
	*ret_query = STR_NONE;
	if (mark) {
		*ret_query = (struct str){mark + 1, (size_t)(rest.p + rest.n - mark - 1)};
		rest.n = (size_t)(mark - rest.p);
	}
	*ret_path = rest;
	return true;
}

bool uri_segments(struct arena *arena, struct str path, struct str segments[URI_MAX_SEGMENTS], size_t *ret_n)
{
	struct str rest = {path.p + 1, path.n - 1}, raw;
	size_t n = 0;

	while (str_split(&rest, '/', &raw)) {
		if (n == URI_MAX_SEGMENTS || !uri_decode(arena, raw, false, &segments[n++]))
			return false;
	}
	*ret_n = n;
	return true;
}

static bool decode_param(struct arena *arena, struct str raw, struct uri_param *param, struct err *reterr)
{
	struct str name, value = raw;

	str_split(&value, '=', &name);
	if (!uri_decode(arena, name, true, &param->name))
		return err_set(reterr, ERR_INVALID, "The name of a query parameter is not valid percent-encoded UTF-8");
	if (!value.p)
		value = STR("");
	if (uri_decode(arena, value, true, &param->value))
		return true;
	return err_set(reterr, ERR_INVALID, "The query parameter %.*s is not valid percent-encoded UTF-8",
	        STR_ARG(str_utf8_cut(param->name, 64)));
}

bool uri_params(struct arena *arena, struct str query, struct uri_param **ret_params, size_t *ret_n, struct err *reterr)
{
	struct uri_param *params = NULL;
	struct str raw;
	size_t n = 0;

	while (query.p && str_split(&query, '&', &raw)) {
		if (raw.n == 0)
			continue;
		if (n == URI_MAX_PARAMS)
			return err_set(reterr, ERR_INVALID, "More than %d query parameters", URI_MAX_PARAMS);
		if (!params)
			params = arena_alloc(arena, URI_MAX_PARAMS * sizeof(*params));
		if (!decode_param(arena, raw, &params[n], reterr))
			return false;
		n++;
	}
	*ret_params = params;
	*ret_n = n;
	return true;
}
