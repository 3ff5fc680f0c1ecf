#include "common/config_doc.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/hash.h"
#include "common/json.h"

#include <sodium.h>

static const char *const kinds[] = {CONFIG_WORKSPACE, CONFIG_NODE, CONFIG_SOURCE, CONFIG_USER, CONFIG_BASE_PROPERTIES,
        CONFIG_EXTENDED, CONFIG_EVENT_TYPE, CONFIG_THROTTLING, CONFIG_PAYLOAD_SIZE};

const struct source_provider source_providers[SOURCE_PROVIDER_COUNT] = {
        {"API", "API", "Calls of the API by an application of one's own", .trusted = true, .creatable = true},
        {"CONTACTSEND", "Contactsend", "Campaigns that are sent by Contactsend", .trusted = true, .creatable = true},
        {"CONTACTPLAN", "Contactplan", "Plans that are run by Contactplan", .trusted = true, .creatable = true},
        {"JavaScript", "JavaScript", "Pages that run in a browser", .trusted = false, .creatable = false},
        {"ANDROID_SDK", "Android SDK", "Applications on Android", .trusted = false, .creatable = false},
        {"OBJECTIVEC_SDK", "Objective-C SDK", "Applications on iOS", .trusted = false, .creatable = false},
        {"MAGENTO", "Magento", "Shops made with Magento", .trusted = true, .creatable = false},
        {"NODEJS_SDK", "Node.js SDK", "Applications in JavaScript on a server", .trusted = true, .creatable = false},
        {"JAVA_SDK", "Java SDK", "Applications in Java", .trusted = true, .creatable = false},
        {"SCALA_SDK", "Scala SDK", "Applications in Scala", .trusted = true, .creatable = false},
        {"DOTNET_SDK", ".NET SDK", "Applications on .NET", .trusted = true, .creatable = false},
};

static bool kind_exists(struct str kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_is(kind, kinds[i]))
			return true;
	return false;
}

struct str config_key_write(struct arena *arena, const struct config_key *key)
{
	if (key->version == CONFIG_ANY_VERSION)
		return str_of(arena_printf(arena, "%.*s/%.*s", STR_ARG(key->kind), STR_ARG(key->id)));
	return str_of(
	        arena_printf(arena, "%.*s/%.*s#%lld", STR_ARG(key->kind), STR_ARG(key->id), (long long)key->version));
}

bool config_key_parse(struct str text, struct config_key *ret_key, struct err *err)
{
	struct config_key key = {.version = CONFIG_ANY_VERSION};
	struct str rest = text;
	uint64_t version;

	if (!str_split(&rest, '/', &key.kind) || !rest.p || !kind_exists(key.kind))
		return err_set(err, ERR_INVALID, "the command does not name a kind of document");
	if (!str_split(&rest, '#', &key.id))
		key.id = STR("");
	if (rest.p) {
		if (!str_to_u64(rest, INT64_MAX, &version))
			return err_set(err, ERR_INVALID, "the command names a version that is no number");
		key.version = (int64_t)version;
	}
	*ret_key = key;
	return true;
}

uint32_t config_partition_of(const struct uuid *workspace, uint32_t n_partitions)
{
	return (uint32_t)(hash_bytes(workspace, sizeof(*workspace), 0) % n_partitions);
}

const struct source_provider *source_provider_find(struct str id)
{
	for (size_t i = 0; i < SOURCE_PROVIDER_COUNT; i++)
		if (str_is(id, source_providers[i].id))
			return &source_providers[i];
	return NULL;
}

void source_token_hash(struct str text, uint8_t sha256[32])
{
	crypto_hash_sha256(sha256, (const unsigned char *)text.p, text.n);
}

void source_token_make(struct source_token *token)
{
	uint8_t bytes[32];

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2hex(token->text, sizeof(token->text), bytes, sizeof(bytes));
	source_token_hash((struct str){token->text, SOURCE_TOKEN_HEX}, bytes);
	sodium_bin2hex(token->sha256, sizeof(token->sha256), bytes, sizeof(bytes));
}

bool config_shard_exists(struct str name)
{
	return str_is(name, CONFIG_DEFAULT_SHARD);
}

struct json *config_workspace_document(struct arena *arena, const struct uuid *id, struct str name, struct str slug,
        int64_t group, struct str shard, uint32_t partition)
{
	struct json *doc = json_new(arena, JSON_OBJECT);

	json_add(doc, STR("id"), json_new_str(arena, config_id_text(arena, id)));
	json_add(doc, STR("name"), json_new_str(arena, name));
	json_add(doc, STR("slug"), json_new_str(arena, slug));
	json_add(doc, STR("groupPk"), json_new_i64(arena, group));
	json_add(doc, STR("shard"), json_new_str(arena, shard));
	json_add(doc, STR("status"), json_new_str(arena, STR("ENABLED")));
	json_add(doc, STR("partition"), json_new_i64(arena, partition));
	return doc;
}

struct str config_doc_text(struct arena *arena, const struct json *value)
{
	struct buf buf;

	buf_init(&buf, arena, 512);
	json_write(&buf, value);
	return buf_str(&buf);
}

/* No fewer: with all digits that an exponent stands for. */
static size_t number_bytes(struct str text)
{
	bool in_exponent = false;
	size_t exponent = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == 'e' || c == 'E')
			in_exponent = true;
		else if (in_exponent && c >= '0' && c <= '9')
			exponent = exponent * 10 + (size_t)(c - '0');
	}
	return text.n + exponent;
}

static size_t string_bytes(struct str text)
{
	size_t n = text.n + 2;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20)
			n += 5; /* \u001f */
		else if (c == '"' || c == '\\')
			n++;
	}
	return n;
}

/* As deep as JSON_MAX_DEPTH. */
size_t config_doc_stored_bytes(const struct json *value)
{
	static const size_t words[] = {[JSON_NULL] = 4, [JSON_TRUE] = 4, [JSON_FALSE] = 5};
	size_t n = 2;

	if (value->type == JSON_NUMBER)
		return number_bytes(value->text);
	if (value->type == JSON_STRING)
		return string_bytes(value->text);
	if (value->type != JSON_ARRAY && value->type != JSON_OBJECT)
		return words[value->type];
	for
		json_each(child, value)
		{
			n += config_doc_stored_bytes(child) + 2; /* ", " */
			if (value->type == JSON_OBJECT)
				n += string_bytes(child->key) + 2; /* ": " */
		}
	return n;
}

struct str config_id_text(struct arena *arena, const struct uuid *id)
{
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(id, text);
	return arena_str(arena, (struct str){text, UUID_TEXT_BYTES});
}
