#ifndef COMMON_SCHEMA_SET_H
#define COMMON_SCHEMA_SET_H

#include "common/schema.h"

/*
 * The schemas that customers, events and contexts of one workspace are checked with: the built-in documents of the
 * catalog with what the workspace declares itself in their places. Compiled at first use, in the arena of the set.
 */
struct schema_set;

/* What a workspace declares. All of it must live as long as the set. */
struct schema_declarations {
	/* Map of declared extended properties ("customer", "event:<type>", "product"); NULL when there is none. */
	const struct json *(*extended)(const void *context, struct str set);
	const void *context;
	const struct json *disabled_base; /* names of base properties that are off; NULL = none */
};

/* declarations are copied; NULL: the schemas without any declared property. */
struct schema_set *schema_set_new(struct arena *arena, const struct schema_declarations *declarations);
const struct schema *schema_set_customer(struct schema_set *set);
const struct schema *schema_set_event(struct schema_set *set, size_t event_type_index);
const struct schema *schema_set_context(struct schema_set *set, size_t context_index);

/* What the references of one schema to workspace-made properties stand for; NULL = nothing. */
struct schema_extensions {
	const struct json *customer, *event, *product;
};
/* The schema that a reference ("extended.json#/customer") stands for; NULL when it is none of them. */
const struct json *schema_extension_find(const struct schema_extensions *extensions, struct str reference);

/* A schema as a document, for those who walk through it. */
struct schema_document {
	const struct json *root;
	struct schema_extensions extensions;
};
struct schema_document schema_set_customer_document(struct schema_set *set);
struct schema_document schema_set_event_document(struct schema_set *set, size_t event_type_index);
struct schema_document schema_set_context_document(struct schema_set *set, size_t context_index);

/* Types of the values that may stand at a place of a document, numbers always as SCHEMA_NUMBER: of the member that a
   dotted path leads to ("base.contacts.email"); 0 when the document has none. An empty path is the document itself.
   What can only be null (a property that is disabled) hides its members: whatever their name, they can be nothing else.
 */
unsigned schema_document_types(const struct schema_document *document, struct str dotted_path);

#endif
