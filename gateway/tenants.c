#include "gateway/tenants.h"

#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64 /* power of two */

bool tenant_fits(size_t most, size_t taken, size_t own, size_t n)
{
	size_t free = most > taken ? most - taken : 0;

	return own <= free && n <= free - own;
}

/* Open addressing; nothing is ever removed. */
struct tenants {
	struct tenant **entries;
	size_t capacity;
	size_t n;
};

static void *zalloc(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		log_die("memory", "out of memory");
	return memory;
}

struct tenants *tenants_new(void)
{
	struct tenants *tenants = zalloc(1, sizeof(*tenants));

	tenants->capacity = FIRST_CAPACITY;
	tenants->entries = zalloc(FIRST_CAPACITY, sizeof(tenants->entries[0]));
	return tenants;
}

void tenants_free(struct tenants *tenants)
{
	for (size_t i = 0; tenants && i < tenants->capacity; i++)
		free(tenants->entries[i]);
	if (tenants)
		free(tenants->entries);
	free(tenants);
}

static struct tenant **find(struct tenant **entries, size_t capacity, const struct uuid *workspace)
{
	size_t i = (size_t)hash_bytes(workspace, sizeof(*workspace), 0) & (capacity - 1);

	while (entries[i] && !uuid_eq(&entries[i]->workspace, workspace))
		i = (i + 1) & (capacity - 1);
	return &entries[i];
}

static void grow(struct tenants *tenants)
{
	size_t capacity = tenants->capacity * 2;
	struct tenant **entries = zalloc(capacity, sizeof(entries[0]));

	for (size_t i = 0; i < tenants->capacity; i++) {
		if (tenants->entries[i])
			*find(entries, capacity, &tenants->entries[i]->workspace) = tenants->entries[i];
	}
	free(tenants->entries);
	tenants->entries = entries;
	tenants->capacity = capacity;
}

struct tenant *tenants_get(struct tenants *tenants, const struct uuid *workspace)
{
	if (tenants->n * 2 >= tenants->capacity)
		grow(tenants);
	struct tenant **entry = find(tenants->entries, tenants->capacity, workspace);
	if (!*entry) {
		*entry = zalloc(1, sizeof(**entry));
		(*entry)->workspace = *workspace;
		for (int lane = 0; lane < ADMISSION_LANES; lane++)
			admission_share_init(&(*entry)->shares[lane]);
		tenants->n++;
	}
	return *entry;
}
