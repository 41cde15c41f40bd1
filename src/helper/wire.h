/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  The door of the helper room: what a backend and its codec process say
 *	  to each other.
 *
 * This room makes the programs that work on strangers' bytes in place of the
 * server: mediastore-codec and, with libheif, mediastore-codec-heif, for
 * pictures; and mediastore-courier, which speaks to stores.  Each serves one
 * parent, a PostgreSQL backend or worker, for as long as that lives and has
 * work; a crash in here is an end of file there.
 *
 *	  wire.h		   the codecs' frames and arena: all that both sides share
 *	  sandbox.c		   how a process locks itself in
 *	  start.c		   its arguments and its arena
 *	  codec.c		   the codecs' main loop
 *	  codec_main.c	   mediastore-codec
 *	  codec_heif_main.c	 mediastore-codec-heif
 *	  courier_wire.h   the same of the courier
 *	  courier.c		   ... its main loop; its other files are listed in courier.h
 *
 * Calls: codecs -> image -> facts; courier -> the drivers of the store room.  The
 * db room includes wire.h and courier_wire.h alone: it shares no code with the
 * programs, only these descriptions.
 *
 * The channel is a pair of SOCK_SEQPACKET unix sockets: each frame is one
 * packet, so neither side can be left with half of one, "exactly the size of
 * a frame" is one comparison, and the end of the other side is still seen as
 * an end of file.  A packet of any other size is a violation.
 *
 * Pictures do not go through the socket but through the arena: one memfd,
 * made by the parent, of a fixed sparse size.  The parent writes the input at
 * offset 0, the codec answers with the offset and length of its result.  The
 * codec maps the arena; the parent never does: it uses pwrite and pread, so
 * that a page that cannot be had is an errno and not a SIGBUS, and bytes that
 * change under it can't be seen twice.
 *
 *	  parent			codec
 *	  HELLO ->			  it has locked itself in before it reads this
 *					 <- HELLO (sandboxed or not)
 *	  COMPRESS ->
 *					 <- RESULT
 *	  ...
 *					 <- GOODBYE, then end of file: idle for too long.  A request
 *						that crosses it was not begun; the parent sends it
 *						to another codec.
 *
 * Both sides are built together, so frames are plain structs; magic and
 * version are there for a program left over from another installation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_WIRE_H
#define MEDIASTORE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "../image/image.h"

#define WIRE_MAGIC		0x4d534344	/* "MSCD" */
#define WIRE_VERSION	2

/* The codec's descriptors; 0 to 2 are /dev/null. */
#define WIRE_SOCKET_FD	3
#define WIRE_ARENA_FD	4		/* closed once it is mapped */

/* A bytea's longest is 1 GB; an address space of 32 bits has less to give. */
#define WIRE_ARENA_SIZE \
	((uint64_t) (sizeof(void *) >= 8 ? UINT64_C(1) << 30 : UINT64_C(1) << 28))

/*
 * The programs' arguments, all decimal: the parent's process id (a codec that
 * finds another parent ends at once), the address space it may add to what
 * it starts with, in megabytes, and the seconds it waits for a request
 * before it leaves.
 */
#define WIRE_ARGUMENTS	3

typedef enum WireKind
{
	WIRE_HELLO = 1,				/* both ways */
	WIRE_COMPRESS,				/* to the codec */
	WIRE_RESULT,				/* from the codec, as the next */
	WIRE_GOODBYE
} WireKind;

typedef struct WireRequest
{
	uint32_t	magic;
	uint32_t	version;
	uint32_t	kind;			/* WireKind */
	uint32_t	number;			/* the reply repeats it */
	uint64_t	input_length;	/* bytes, from the arena's start */
	uint32_t	cpu_seconds;	/* that this request may take */
	uint32_t	unused;
	ImageCompressOptions options;
	ImageLimits limits;
} WireRequest;

typedef struct WireReply
{
	uint32_t	magic;
	uint32_t	version;
	uint32_t	kind;			/* WireKind */
	uint32_t	number;			/* of the request; 0 in a goodbye */
	int32_t		status;			/* ImageStatus */
	uint32_t	sandboxed;		/* HELLO: 1 if the system-call filter is on */
	uint32_t	unchanged;		/* 1: the input is fine as it is; no bytes */
	uint32_t	unused;
	uint64_t	offset;			/* of the result in the arena */
	uint64_t	length;
	int32_t		width;			/* of the result */
	int32_t		height;
	int32_t		quality;
	int32_t		encodes;
	uint64_t	peak_memory;	/* the most that was resident so far, bytes */
	char		message[IMAGE_MESSAGE_SIZE];
	char		limit[IMAGE_LIMIT_SIZE];
} WireReply;

_Static_assert(sizeof(WireRequest) == 32 + sizeof(ImageCompressOptions) + sizeof(ImageLimits),
			   "hole in WireRequest");
_Static_assert(sizeof(WireReply) == 72 + IMAGE_MESSAGE_SIZE + IMAGE_LIMIT_SIZE,
			   "hole in WireReply");

#endif							/* MEDIASTORE_WIRE_H */
