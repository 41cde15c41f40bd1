/*-------------------------------------------------------------------------
 *
 * courier_send.c
 *	  What the courier says to its parent.
 *
 * A parent that does not read for a while keeps nobody waiting: what it has no
 * room for is kept, in its order.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "courier.h"
#include "wire.h"

/* A frame that the parent had no room for. */
typedef struct Packet
{
	struct Packet *next;
	size_t		length;
	uint8_t		bytes[];
} Packet;

static Packet *first_packet;
static Packet **last_packet = &first_packet;

/* Sends a packet; false if there is no room for it now. */
static bool
send_packet(const void *bytes, size_t length)
{
	for (;;)
	{
		ssize_t		sent = send(WIRE_SOCKET_FD, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent == (ssize_t) length)
			return true;
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
			return false;
		courier_leave(EXIT_LEFT);
	}
}

bool
courier_send_kept(void)
{
	while (first_packet != NULL && send_packet(first_packet->bytes, first_packet->length))
	{
		Packet	   *packet = first_packet;

		first_packet = packet->next;
		if (first_packet == NULL)
			last_packet = &first_packet;
		free(packet);
	}
	return first_packet != NULL;
}

void
courier_send(CourierFrame *frame, const char *text, size_t text_length)
{
	uint8_t		bytes[sizeof(CourierFrame) + COURIER_TEXT_MOST];
	size_t		length = sizeof(CourierFrame) + text_length;
	Packet	   *packet;

	frame->magic = COURIER_MAGIC;
	frame->version = COURIER_VERSION;
	frame->text_length = (uint32_t) text_length;
	memcpy(bytes, frame, sizeof(CourierFrame));
	if (text_length > 0)
		memcpy(bytes + sizeof(CourierFrame), text, text_length);
	if (first_packet == NULL && send_packet(bytes, length))
		return;

	/* there are never more than a few for each transfer */
	packet = malloc(sizeof(Packet) + length);
	if (packet == NULL)
		courier_leave(EXIT_SETUP);
	packet->next = NULL;
	packet->length = length;
	memcpy(packet->bytes, bytes, length);
	*last_packet = packet;
	last_packet = &packet->next;
}

static void
add_field(char *text, size_t *length, const char *name, const char *value)
{
	if (*value == '\0')
		return;
	memcpy(text + *length, name, strlen(name) + 1);
	*length += strlen(name) + 1;
	memcpy(text + *length, value, strlen(value) + 1);
	*length += strlen(value) + 1;
}

void
courier_send_result(const Transfer *transfer)
{
	const DriverResult *result = &transfer->driver.result;
	CourierFrame frame = {
		.kind = COURIER_RESULT,.transfer = transfer->number,.status = (uint32_t) result->status,
		.http_status = result->http_status,.retry_after = result->retry_after,
		.length = result->length,.time = result->time
	};
	char		text[sizeof(DriverResult) + DRIVER_META_MOST + 256];
	size_t		length = 0;

	_Static_assert(sizeof(text) <= COURIER_TEXT_MOST, "a result is too long for a frame");
	add_field(text, &length, "message", result->message);
	add_field(text, &length, "hint", result->hint);
	add_field(text, &length, "code", result->code);
	add_field(text, &length, "etag", result->etag);
	add_field(text, &length, "content_type", result->content_type);
	add_field(text, &length, "cache_control", result->cache_control);
	if (!result->meta.failed && result->meta.length > 0)
	{
		memcpy(text + length, result->meta.bytes, result->meta.length);
		length += result->meta.length;
	}
	courier_send(&frame, text, length);
}
