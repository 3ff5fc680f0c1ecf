/* The workers' connection, on real PostgreSQL. */

#include "common/db.h"
#include "tests/component/component.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#define MAX_FD 256
/* A server whose machine is gone says nothing: so long may a worker wait for the answer to what it has sent. */
#define LOST_AFTER_S 20

static int option_of(int fd, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	return getsockopt(fd, IPPROTO_TCP, name, &value, &n) ? -1 : value;
}

/* Sent and acknowledged, only probes tell that nobody is there any more: the first after the idle time, and at the
   next one the connection ends. */
static void test_a_server_that_is_gone_is_noticed(void **state)
{
	struct component *component = component_open();
	struct err err = {0};
	bool open_before[MAX_FD];
	int n_sockets = 0;

	(void)state;
	for (int fd = 0; fd < MAX_FD; fd++)
		open_before[fd] = option_of(fd, TCP_KEEPIDLE) >= 0;
	struct db *db = db_open(component_settings(component), "test", &err);
	assert_non_null(db);
	for (int fd = 0; fd < MAX_FD; fd++) {
		int idle_s = option_of(fd, TCP_KEEPIDLE);
		if (idle_s < 0 || open_before[fd])
			continue;
		n_sockets++;
		assert_in_range(idle_s + option_of(fd, TCP_KEEPINTVL), 1, LOST_AFTER_S);
		assert_in_range(option_of(fd, TCP_USER_TIMEOUT), 1, LOST_AFTER_S * 1000);
	}
	assert_int_equal(n_sockets, 1);
	db_close(db);
	component_close(component);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_server_that_is_gone_is_noticed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
