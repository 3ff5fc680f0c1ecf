#include "workers/event_ingest/ingest.h"

int main(int argc, char **argv)
{
	return worker_main(&event_ingest_definition, argc, argv);
}
