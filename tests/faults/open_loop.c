#include "common/log.h"
#include "common/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * HTTP load that does not wait for its answers: requests come at random moments (Poisson) at a given rate, each on a
 * connection that is free; latency counts from the moment at which a request was due ("good_sent": from when it was
 * sent, which is later when no connection was free). Rate 0 is the closed loop: every connection asks again when it has
 * its answer.
 *
 *   open_loop PORT CONNECTIONS RATE SECONDS [IDS] <REQUEST
 *
 * REQUEST is one HTTP request as it is sent. In every copy "@@@@@@@@@@@@@@@@@@@@" becomes a number that no other has,
 * and "########-####-####-####-############" a line of the file IDS. Prints one JSON object.
 */
#define MAX_REQUEST 8192
#define MAX_ANSWER ((size_t)128 * 1024)
#define MAX_CONNECTIONS 8192
#define MAX_SECONDS 600
#define MAX_MARKS 8
#define UNIQUE_BYTES 20
#define ID_BYTES 36
#define STATUSES 600
/* A moment that no connection is free for this long is given up. */
#define LATE_US 2000000
/* How long answers are waited for in the end; above the server's deadline. */
#define GRACE_US 20000000

struct line {
	int fd;
	bool busy;
	int64_t due_us, sent_us;
	size_t n;
	char answer[MAX_ANSWER];
};

struct samples {
	uint32_t *us;
	size_t n, capacity;
};

struct load {
	struct sockaddr_in address;
	int64_t rate, began_us, until_us, next_us;
	char request[MAX_REQUEST];
	size_t request_bytes;
	size_t unique_at[MAX_MARKS], id_at[MAX_MARKS], n_unique, n_ids_at;
	char (*ids)[ID_BYTES];
	size_t n_ids;
	uint64_t serial, random;
	int epoll;
	struct line *lines;
	struct line **idle;
	size_t n_lines, n_idle, n_busy;
	uint64_t sent, missed, broken, without_retry_after;
	uint64_t statuses[STATUSES];
	struct samples good, good_sent, refused, seconds[MAX_SECONDS + 1];
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* xorshift64*; the load is the same in every run */
static uint64_t next_random(struct load *load)
{
	load->random ^= load->random >> 12;
	load->random ^= load->random << 25;
	load->random ^= load->random >> 27;
	return load->random * 2685821657736338717U;
}

/* --- samples --- */

static void sample(struct samples *samples, int64_t us)
{
	if (samples->n == samples->capacity) {
		samples->capacity = samples->capacity ? samples->capacity * 2 : 1024;
		samples->us = realloc(samples->us, samples->capacity * sizeof(samples->us[0]));
		if (!samples->us)
			log_die("memory", "out of memory");
	}
	samples->us[samples->n++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorted before. */
static double quantile_ms(const struct samples *samples, double share)
{
	return samples->n ? samples->us[(size_t)((double)(samples->n - 1) * share)] / 1000.0 : 0;
}

static void print_samples(const char *name, struct samples *samples)
{
	qsort(samples->us, samples->n, sizeof(samples->us[0]), by_value);
	printf("\"%s\":{\"n\":%zu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, samples->n,
	        quantile_ms(samples, 0.5), quantile_ms(samples, 0.9), quantile_ms(samples, 0.99),
	        quantile_ms(samples, 1));
}

/* --- the request --- */

static void find_marks(struct load *load, const char *mark, size_t n, size_t at[MAX_MARKS], size_t *ret_n)
{
	for (size_t i = 0; i + n <= load->request_bytes && *ret_n < MAX_MARKS; i++) {
		if (memcmp(load->request + i, mark, n) == 0) {
			at[(*ret_n)++] = i;
			i += n - 1;
		}
	}
}

static void read_request(struct load *load)
{
	load->request_bytes = fread(load->request, 1, sizeof(load->request), stdin);
	if (load->request_bytes == 0 || load->request_bytes == sizeof(load->request))
		log_die("usage", "no request on standard input, or one of more than %d bytes", MAX_REQUEST - 1);
	find_marks(load, "@@@@@@@@@@@@@@@@@@@@", UNIQUE_BYTES, load->unique_at, &load->n_unique);
	find_marks(load, "########-####-####-####-############", ID_BYTES, load->id_at, &load->n_ids_at);
}

static void read_ids(struct load *load, const char *path)
{
	char text[128];
	FILE *file = fopen(path, "re");

	if (!file)
		log_die("usage", "cannot read %s", path);
	while (fgets(text, sizeof(text), file)) {
		if (strlen(text) < ID_BYTES)
			continue;
		load->ids = realloc(load->ids, (load->n_ids + 1) * sizeof(load->ids[0]));
		if (!load->ids)
			log_die("memory", "out of memory");
		memcpy(load->ids[load->n_ids++], text, ID_BYTES);
	}
	fclose(file);
}

static void fill_marks(struct load *load)
{
	char unique[UNIQUE_BYTES + 1];

	snprintf(unique, sizeof(unique), "%020llu", (unsigned long long)load->serial++);
	for (size_t i = 0; i < load->n_unique; i++)
		memcpy(load->request + load->unique_at[i], unique, UNIQUE_BYTES);
	for (size_t i = 0; i < load->n_ids_at && load->n_ids; i++)
		memcpy(load->request + load->id_at[i], load->ids[next_random(load) % load->n_ids], ID_BYTES);
}

/* --- connections --- */

static void open_line(struct load *load, struct line *line)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
	int one = 1;

	line->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&load->address, sizeof(load->address)))
		log_die("connect", "cannot connect: %s", strerror(errno));
	setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(line->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(load->epoll, EPOLL_CTL_ADD, line->fd, &event);
	line->n = 0;
	line->busy = false;
	load->idle[load->n_idle++] = line;
}

static void reopen(struct load *load, struct line *line)
{
	if (line->busy) {
		load->n_busy--;
		load->broken++;
	} else {
		/* it stands among the idle ones: take it out */
		size_t i = 0;
		while (load->idle[i] != line)
			i++;
		load->idle[i] = load->idle[--load->n_idle];
	}
	close(line->fd);
	open_line(load, line);
}

static void send_request(struct load *load, int64_t due_us, int64_t at_us)
{
	struct line *line = load->idle[--load->n_idle];

	fill_marks(load);
	line->busy = true;
	line->due_us = due_us;
	line->sent_us = at_us;
	load->n_busy++;
	load->sent++;
	if (send(line->fd, load->request, load->request_bytes, MSG_NOSIGNAL) != (ssize_t)load->request_bytes)
		reopen(load, line);
}

/* --- answers --- */

/* The value of a header, or NULL; `head` ends with a NUL. */
static const char *header(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	return at ? at + strlen(name) : NULL;
}

static void count(struct load *load, struct line *line, int status, const char *head, int64_t at_us)
{
	size_t second = (size_t)((at_us - load->began_us) / 1000000);

	load->statuses[status > 0 && status < STATUSES ? status : 0]++;
	if ((status == 429 || status == 503 || status == 504) && !header(head, "\r\nRetry-After: "))
		load->without_retry_after++;
	if (status >= 200 && status < 300) {
		sample(&load->good, at_us - line->due_us);
		sample(&load->good_sent, at_us - line->sent_us);
		sample(&load->seconds[second < MAX_SECONDS ? second : MAX_SECONDS], at_us - line->due_us);
	} else {
		sample(&load->refused, at_us - line->due_us);
	}
}

/* True when the answer is complete. */
static bool take_answer(struct load *load, struct line *line, int64_t at_us)
{
	line->answer[line->n] = '\0';
	char *end = strstr(line->answer, "\r\n\r\n");
	if (!end)
		return false;
	end[2] = '\0';
	const char *length = header(line->answer, "\r\nContent-Length: ");
	size_t whole = (size_t)(end + 4 - line->answer) + (length ? strtoul(length, NULL, 10) : 0);
	if (line->n < whole) {
		end[2] = '\r';
		return false;
	}
	count(load, line, (int)strtol(line->answer + strlen("HTTP/1.1 "), NULL, 10), line->answer, at_us);
	return true;
}

static void read_line(struct load *load, struct line *line)
{
	ssize_t n = recv(line->fd, line->answer + line->n, sizeof(line->answer) - 1 - line->n, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		reopen(load, line);
		return;
	}
	line->n += (size_t)n;
	if (!take_answer(load, line, now_us()))
		return;
	line->n = 0;
	line->busy = false;
	load->n_busy--;
	load->idle[load->n_idle++] = line;
}

/* --- the loop --- */

/* Sends what is due; what could not be sent for too long is given up. */
static void send_due(struct load *load, int64_t at_us)
{
	if (!load->rate) {
		while (load->n_idle && at_us < load->until_us)
			send_request(load, at_us, at_us);
		return;
	}
	while (load->next_us <= at_us && load->next_us < load->until_us) {
		if (load->n_idle)
			send_request(load, load->next_us, at_us);
		else if (at_us - load->next_us > LATE_US)
			load->missed++;
		else
			return;
		double uniform = (double)(next_random(load) >> 11) / 9007199254740992.0;
		load->next_us += (int64_t)(-log(1 - uniform) * 1e6 / (double)load->rate + 0.5);
	}
}

static void wait_for_news(struct load *load, int64_t at_us)
{
	struct epoll_event events[256];
	int64_t wait_us = 1000;

	if (load->rate && load->n_idle && load->next_us < at_us + wait_us)
		wait_us = load->next_us > at_us ? load->next_us - at_us : 0;
	struct timespec wait = {.tv_nsec = wait_us * 1000};
	int n = epoll_pwait2(load->epoll, events, ARRAY_LEN(events), &wait, NULL);
	for (int i = 0; i < n; i++)
		read_line(load, events[i].data.ptr);
}

static void run(struct load *load)
{
	int64_t at_us;

	while ((at_us = now_us()) < load->until_us || (load->n_busy && at_us < load->until_us + GRACE_US)) {
		send_due(load, at_us);
		wait_for_news(load, at_us);
	}
}

static void report(struct load *load, int64_t seconds)
{
	struct rusage usage;
	bool first = true;

	getrusage(RUSAGE_SELF, &usage);
	printf("{\"sent\":%llu,\"missed\":%llu,\"broken\":%llu,\"hung\":%zu,\"without_retry_after\":%llu,\"statuses\":"
	       "{",
	        (unsigned long long)load->sent, (unsigned long long)load->missed, (unsigned long long)load->broken,
	        load->n_busy, (unsigned long long)load->without_retry_after);
	for (int status = 0; status < STATUSES; status++) {
		if (load->statuses[status])
			printf("%s\"%d\":%llu", first ? "" : ",", status, (unsigned long long)load->statuses[status]);
		first = first && !load->statuses[status];
	}
	printf("},\"seconds\":%lld,\"cpu_s\":%.3f,", (long long)seconds,
	        (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	print_samples("good", &load->good);
	putchar(',');
	print_samples("good_sent", &load->good_sent);
	putchar(',');
	print_samples("refused", &load->refused);
	printf(",\"by_second\":[");
	for (int64_t i = 0; i < seconds && i < MAX_SECONDS; i++) {
		qsort(load->seconds[i].us, load->seconds[i].n, sizeof(uint32_t), by_value);
		printf("%s[%zu,%.3f,%.3f]", i ? "," : "", load->seconds[i].n, quantile_ms(&load->seconds[i], 0.5),
		        quantile_ms(&load->seconds[i], 0.99));
	}
	printf("]}\n");
}

static struct load *load_new(int argc, char **argv)
{
	struct load *load = calloc(1, sizeof(*load));
	int64_t connections = argc > 4 ? strtol(argv[2], NULL, 10) : 0;

	if (!load || connections < 1 || connections > MAX_CONNECTIONS)
		log_die("usage", "open_loop PORT CONNECTIONS RATE SECONDS [IDS] <REQUEST");
	load->address.sin_family = AF_INET;
	load->address.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
	load->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	load->rate = strtol(argv[3], NULL, 10);
	load->n_lines = (size_t)connections;
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	load->lines = calloc(load->n_lines, sizeof(load->lines[0]));
	load->idle = calloc(load->n_lines, sizeof(struct line *));
	if (!load->lines || !load->idle)
		log_die("memory", "out of memory");
	load->serial = (uint64_t)time(NULL) * 1000000000U + (uint64_t)getpid() % 1000 * 1000000U;
	load->random = load->serial | 1;
	return load;
}

int main(int argc, char **argv)
{
	log_init("open_loop", LOG_INFO);
	struct load *load = load_new(argc, argv);
	int64_t seconds = strtol(argv[4], NULL, 10);

	read_request(load);
	if (argc > 5)
		read_ids(load, argv[5]);
	for (size_t i = 0; i < load->n_lines; i++)
		open_line(load, &load->lines[i]);
	load->began_us = load->next_us = now_us();
	load->until_us = load->began_us + seconds * 1000000;
	run(load);
	report(load, seconds);
	return 0;
}
