/*-------------------------------------------------------------------------
 *
 * sink.c
 *	  A store that takes everything and keeps nothing, as fast as it can.
 *
 *	sink [--port PORT]
 *
 * HTTP/1.1 on 127.0.0.1, one thread, connections kept alive.  It answers a PUT
 * with 200 and an ETag once its body is read (and thrown away), a DELETE with
 * 204, and the three requests of a multipart upload, so that large objects go
 * there as well.  It prints "ready PORT" and ends with its parent.
 *
 *	GET /_sink		{"objects": n, "bytes": n, "deletes": n, "connections": n,
 *					 "most": n, "last_start": t, "last_end": t}
 *
 * objects are PUTs that are no parts and completed multipart uploads; most, the
 * most bodies that were being read at a time; last_start and last_end, Unix
 * seconds, when the last PUT's head came and when it was answered.  A POST to
 * /_sink sets the counters to 0.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MOST		16384
#define EVENTS			64

typedef struct Connection
{
	int			socket;
	size_t		have;			/* bytes in head */
	uint64_t	body;			/* bytes of the body that are to come */
	bool		in_body;
	bool		is_object;		/* the request counts as one, once answered */
	bool		is_put;
	const char *answer;			/* a constant, or counted */
	char		head[HEAD_MOST];
} Connection;

static struct
{
	uint64_t	objects;
	uint64_t	bytes;
	uint64_t	deletes;
	uint64_t	connections;
	uint64_t	reading;
	uint64_t	most;
	double		last_start;
	double		last_end;
} seen;

static const char put_answer[] =
"HTTP/1.1 200 OK\r\nETag: \"00000000000000000000000000000000\"\r\nContent-Length: 0\r\n\r\n";
static const char delete_answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
static const char empty_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char absent_answer[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
static char begin_answer[600];
static char complete_answer[600];
static char counted[600];

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static void
make_answer(char *answer, size_t size, const char *type, const char *body)
{
	snprintf(answer, size, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
			 type, strlen(body), body);
}

static const char *
count_answer(bool reset)
{
	char		body[400];

	if (reset)
	{
		uint64_t	connections = seen.connections;
		uint64_t	reading = seen.reading;

		memset(&seen, 0, sizeof(seen));
		seen.connections = connections;
		seen.reading = seen.most = reading;
	}
	snprintf(body, sizeof(body),
			 "{\"objects\": %llu, \"bytes\": %llu, \"deletes\": %llu, \"connections\": %llu, \"most\": %llu, "
			 "\"last_start\": %.6f, \"last_end\": %.6f}\n",
			 (unsigned long long) seen.objects, (unsigned long long) seen.bytes, (unsigned long long) seen.deletes,
			 (unsigned long long) seen.connections, (unsigned long long) seen.most, seen.last_start, seen.last_end);
	make_answer(counted, sizeof(counted), "application/json", body);
	return counted;
}

/* The value of a header in a head that ends in a NUL; NULL if it is not there. */
static const char *
header(const char *head, const char *name)
{
	size_t		length = strlen(name);

	for (const char *line = strchr(head, '\n'); line; line = strchr(line, '\n'))
	{
		line++;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1 + strspn(line + length + 1, " ");
	}
	return NULL;
}

/* Sends all of it; answers are small, so a full socket is a client that is gone. */
static bool
say(Connection *connection, const char *text)
{
	size_t		length = strlen(text);

	return send(connection->socket, text, length, MSG_NOSIGNAL) == (ssize_t) length;
}

/* Reads what is asked; false if it can't be answered. */
static bool
take_head(Connection *connection)
{
	char	   *head = connection->head;
	const char *length = header(head, "Content-Length");
	const char *expect = header(head, "Expect");
	char	   *target = strchr(head, ' ');
	bool		has_upload;

	if (!target || (header(head, "Transfer-Encoding") && !length))
		return false;
	*target++ = '\0';
	target[strcspn(target, " \r\n")] = '\0';
	has_upload = strstr(target, "uploadId=") != NULL;

	connection->body = length ? strtoull(length, NULL, 10) : 0;
	connection->in_body = true;
	connection->is_object = connection->is_put = false;
	if (strncmp(target, "/_sink", 6) == 0)
		connection->answer = count_answer(strcmp(head, "POST") == 0);
	else if (strcmp(head, "PUT") == 0)
	{
		connection->is_put = true;
		connection->is_object = !has_upload;
		connection->answer = put_answer;
		seen.last_start = now();
		seen.reading++;
		if (seen.most < seen.reading)
			seen.most = seen.reading;
	}
	else if (strcmp(head, "DELETE") == 0)
	{
		seen.deletes++;
		connection->answer = delete_answer;
	}
	else if (strcmp(head, "POST") == 0)
	{
		connection->is_object = has_upload;
		connection->answer = has_upload ? complete_answer : begin_answer;
	}
	else if (strcmp(head, "HEAD") == 0 || strcmp(head, "GET") == 0)
		connection->answer = absent_answer;
	else
		connection->answer = empty_answer;
	if (expect && strncasecmp(expect, "100-continue", 12) == 0)
		return say(connection, "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
}

/* What has come, until there is no more; false: the connection is over. */
static bool
read_on(Connection *connection)
{
	for (;;)
	{
		ssize_t		got;

		if (connection->in_body && connection->body == 0)
		{
			connection->in_body = false;
			if (connection->is_object)
				seen.objects++;
			if (connection->is_put)
			{
				seen.reading--;
				seen.last_end = now();
				connection->is_put = false;
			}
			if (!say(connection, connection->answer))
				return false;
		}
		if (connection->in_body)
		{
			/* TCP throws away without copying */
			size_t		most = connection->body < ((uint64_t) 1 << 30) ? connection->body : (size_t) 1 << 30;

			got = recv(connection->socket, NULL, most, MSG_TRUNC);
			if (got > 0)
			{
				connection->body -= (uint64_t) got;
				seen.bytes += (uint64_t) got;
				continue;
			}
		}
		else
		{
			char	   *end = NULL;
			size_t		rest;

			got = 0;
			if (connection->have == 0 || !(end = memmem(connection->head, connection->have, "\r\n\r\n", 4)))
			{
				/* the body is not to be in the head's memory: what is beyond is looked at first */
				got = recv(connection->socket, connection->head + connection->have,
						   HEAD_MOST - 1 - connection->have, MSG_PEEK);
				if (got > 0)
				{
					size_t		peeked = (size_t) got;

					end = memmem(connection->head, connection->have + peeked, "\r\n\r\n", 4);
					rest = end ? (size_t) (end + 4 - connection->head) - connection->have : peeked;
					got = recv(connection->socket, connection->head + connection->have, rest, 0);
					if (got > 0)
						connection->have += (size_t) got;
					if (connection->have >= HEAD_MOST - 1 && !end)
						return false;
				}
			}
			if (end && got >= 0)
			{
				connection->head[connection->have] = '\0';
				connection->have = 0;
				if (!take_head(connection))
					return false;
				continue;
			}
			if (got > 0)
				continue;
		}
		if (got < 0 && errno == EINTR)
			continue;
		return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	}
}

static void
drop(Connection *connection)
{
	if (connection->is_put)
		seen.reading--;
	close(connection->socket);
	free(connection);
}

static int
listen_on(int port, int *chosen)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons((uint16_t) port),
	.sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t	length = sizeof(address);
	int			yes = 1;
	int			listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (listener < 0 ||
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
		bind(listener, (struct sockaddr *) &address, sizeof(address)) < 0 ||
		listen(listener, 128) < 0 ||
		getsockname(listener, (struct sockaddr *) &address, &length) < 0)
		die("listen");
	*chosen = ntohs(address.sin_port);
	return listener;
}

static void
welcome(int epoll, int listener)
{
	int			socket;

	while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		Connection *connection = calloc(1, sizeof(Connection));
		struct epoll_event event = {.events = EPOLLIN,.data.ptr = connection};
		int			yes = 1;

		if (!connection)
			die("calloc");
		connection->socket = socket;
		setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) < 0)
			die("epoll_ctl");
		seen.connections++;
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct epoll_event listening = {.events = EPOLLIN};
	pid_t		parent = getppid();
	int			port = 0;
	int			listener;
	int			epoll;

	if (argc == 3 && strcmp(argv[1], "--port") == 0)
		port = atoi(argv[2]);
	else if (argc != 1)
	{
		fprintf(stderr, "usage: sink [--port PORT]\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return 1;

	make_answer(begin_answer, sizeof(begin_answer), "application/xml",
				"<InitiateMultipartUploadResult><UploadId>sink</UploadId></InitiateMultipartUploadResult>");
	make_answer(complete_answer, sizeof(complete_answer), "application/xml",
				"<CompleteMultipartUploadResult><ETag>&quot;00000000000000000000000000000000-1&quot;</ETag>"
				"</CompleteMultipartUploadResult>");
	listener = listen_on(port, &port);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening) < 0)
		die("epoll");
	printf("ready %d\n", port);
	fflush(stdout);

	for (;;)
	{
		int			count = epoll_wait(epoll, events, EVENTS, -1);

		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++)
		{
			Connection *connection = events[i].data.ptr;

			if (!connection)
				welcome(epoll, listener);
			else if (!read_on(connection))
				drop(connection);
		}
	}
}
