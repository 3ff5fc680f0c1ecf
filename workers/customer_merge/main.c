#include "workers/customer_merge/customer_merge.h"

int main(int argc, char **argv)
{
	return worker_main(&customer_merge, argc, argv);
}
