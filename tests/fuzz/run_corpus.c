#include "tests/fuzz/fuzz.h"

#include <dirent.h>

#define MAX_FILE_BYTES (1 << 20)

static void run_file(const char *directory, const char *name)
{
	static uint8_t bytes[MAX_FILE_BYTES];
	char path[4096];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	FUZZ_CHECK(file);
	n = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, n);
}

int main(int argc, char **argv)
{
	size_t n_files = 0;
	struct dirent *entry;
	DIR *directory;

	FUZZ_CHECK(argc == 2);
	directory = opendir(argv[1]);
	FUZZ_CHECK(directory);
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		run_file(argv[1], entry->d_name);
		n_files++;
	}
	closedir(directory);
	printf("%zu files\n", n_files);
	FUZZ_CHECK(n_files > 0);
	return 0;
}
