// idle plain|tls PORT COUNT: opens COUNT sessions to 127.0.0.1:PORT as far as EHLO (under TLS:
// STARTTLS and EHLO again), says how many it holds, and at the next line of standard input how they
// fared and how long new clients wait for the banner.
//
// The clients come from 127.0.1.1, 127.0.1.2 and so on, CLIENTS_PER_SOURCE each, so that neither
// ports nor limits per address end. Loopback only; bounded by COUNT_MAX; whoever starts it ends it
// by closing its standard input.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	COUNT_MAX = 60000,
	CLIENTS_PER_SOURCE = 10000,
	PATIENCE_S = 10,
	REFUSALS_MAX = 3,
	NEW_CLIENTS = 20,
	TEXT_MAX = 4096,
};

struct client {
	int socket;
	SSL *tls;
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void hang_up(struct client *client)
{
	SSL_free(client->tls);
	if (client->socket >= 0) {
		close(client->socket);
	}
	*client = (struct client){ .socket = -1 };
}

static int dial(unsigned port, unsigned number)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
	struct timeval patience = { PATIENCE_S, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + number / CLIENTS_PER_SOURCE);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)port);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static size_t receive(const struct client *client, char *text, size_t size)
{
	ssize_t len = client->tls ? SSL_read(client->tls, text, (int)size)
				  : recv(client->socket, text, size, 0);

	return len > 0 ? (size_t)len : 0;
}

// Reads one whole reply; true when it begins with the digit.
static bool reply_is(const struct client *client, char digit)
{
	char text[TEXT_MAX];
	size_t len = 0, got, last = 0;

	while (len < sizeof text && (got = receive(client, text + len, sizeof text - len)) > 0) {
		len += got;
		for (size_t i = last; i + 1 < len; i++) {
			if (text[i] == '\n') {
				last = i + 1;
			}
		}
		if (text[len - 1] == '\n' && len - last > 3 && text[last + 3] != '-') {
			return text[0] == digit;
		}
	}
	return false;
}

static bool say(const struct client *client, const char *line)
{
	int len = (int)strlen(line);

	return (client->tls ? SSL_write(client->tls, line, len)
			    : (int)send(client->socket, line, (size_t)len, MSG_NOSIGNAL)) == len;
}

static bool start_tls(struct client *client, SSL_CTX *context)
{
	SSL *tls;

	if (!say(client, "STARTTLS\r\n") || !reply_is(client, '2')) {
		return false;
	}
	tls = SSL_new(context);
	SSL_set_fd(tls, client->socket);
	client->tls = tls;
	return SSL_connect(tls) == 1 && say(client, "EHLO bench.test\r\n") && reply_is(client, '2');
}

static bool open_session(struct client *client, unsigned port, unsigned number, SSL_CTX *context)
{
	*client = (struct client){ .socket = dial(port, number) };
	if (client->socket >= 0 && reply_is(client, '2') && say(client, "EHLO bench.test\r\n") &&
	    reply_is(client, '2') && (!context || start_tls(client, context))) {
		return true;
	}
	hang_up(client);
	return false;
}

static unsigned count_dropped(const struct client *clients, unsigned count)
{
	unsigned dropped = 0;

	for (unsigned i = 0; i < count; i++) {
		char byte;

		dropped += recv(clients[i].socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
	}
	return dropped;
}

// The time from before connect until the banner is read, of new clients one after the other.
static void measure_banners(unsigned port, unsigned number)
{
	double sum_ms = 0, worst_ms = 0;
	unsigned served = 0;

	for (unsigned i = 0; i < NEW_CLIENTS; i++) {
		double begin_ms = now_ms(), took_ms;
		struct client client = { .socket = dial(port, number + i) };

		if (client.socket >= 0 && reply_is(&client, '2')) {
			took_ms = now_ms() - begin_ms;
			sum_ms += took_ms;
			worst_ms = took_ms > worst_ms ? took_ms : worst_ms;
			served++;
			say(&client, "QUIT\r\n");
			reply_is(&client, '2');
		}
		hang_up(&client);
		usleep(50 * 1000);
	}
	printf("served=%u of=%u mean_ms=%.3f worst_ms=%.3f\n", served, NEW_CLIENTS,
	       served ? sum_ms / served : 0, worst_ms);
}

static SSL_CTX *new_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context) {
		SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
		SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	}
	return context;
}

int main(int argc, char **argv)
{
	struct rlimit files = { COUNT_MAX + 1000, COUNT_MAX + 1000 };
	unsigned long port = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	bool tls = argc == 4 && strcmp(argv[1], "tls") == 0;
	unsigned open = 0, refused = 0, number = 0;
	SSL_CTX *context = tls ? new_context() : NULL;
	struct client *clients;
	char line[16];

	if (port == 0 || port > 65535 || count == 0 || count > COUNT_MAX || (tls && !context)) {
		fprintf(stderr, "usage: idle plain|tls PORT COUNT\n");
		return 2;
	}
	sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	clients = calloc(count, sizeof *clients);
	while (clients && open < count && refused < REFUSALS_MAX) {
		bool done = open_session(&clients[open], (unsigned)port, number++, context);

		open += done;
		refused += !done;
	}
	printf("open=%u refused=%u\n", open, refused);
	fflush(stdout);
	if (fgets(line, sizeof line, stdin)) {
		printf("dropped=%u ", count_dropped(clients, open));
		measure_banners((unsigned)port, number);
	}
	return 0;
}
