/*-------------------------------------------------------------------------
 *
 * driver_address.c
 *	  Which network addresses a store may have.
 *
 * Who may make a server is not who may reach the machine's own services, or
 * those beside it (a cloud's metadata at 169.254.169.254); and a name can lead
 * anywhere.  So the address is looked at that is connected to.  The blocks are
 * those of IANA's special-purpose address registries that no public service
 * is in.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "driver_http.h"

typedef struct Block
{
	uint8_t		bytes[16];
	int			bits;
	const char *kind;
} Block;

#define PRIVATE		"a private address"
#define LOOPBACK	"a loopback address"
#define LINK_LOCAL	"a link-local address"
#define MULTICAST	"a multicast address"
#define RESERVED	"a reserved address"
#define UNSPECIFIED	"an unspecified address"

static const Block ipv4_blocks[] = {
	{{0}, 8, UNSPECIFIED},
	{{10}, 8, PRIVATE},
	{{100, 64}, 10, PRIVATE},	/* carriers' */
	{{127}, 8, LOOPBACK},
	{{169, 254}, 16, LINK_LOCAL},
	{{172, 16}, 12, PRIVATE},
	{{192, 0, 0}, 24, RESERVED},
	{{192, 168}, 16, PRIVATE},
	{{198, 18}, 15, PRIVATE},	/* benchmarks' */
	{{224}, 4, MULTICAST},
	{{240}, 4, RESERVED},
};

static const Block ipv6_blocks[] = {
	{{0}, 128, UNSPECIFIED},
	{{[15] = 1}, 128, LOOPBACK},
	{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, PRIVATE},	/* NAT64 of one's own */
	{{0x01}, 64, RESERVED},		/* discard-only */
	{{0xfc}, 7, PRIVATE},
	{{0xfe, 0x80}, 10, LINK_LOCAL},
	{{0xfe, 0xc0}, 10, PRIVATE},	/* site-local, as it once was */
	{{0xff}, 8, MULTICAST},
};

/* Blocks with an IPv4 address in them, and where. */
static const struct
{
	uint8_t		bytes[12];
	int			bits;
	int			at;
}			embedding[] = {
	{{[10] = 0xff, [11] = 0xff}, 96, 12},	/* mapped */
	{{0}, 96, 12},				/* compatible, as it once was */
	{{[8] = 0xff, [9] = 0xff}, 96, 12},	/* translated */
	{{0x00, 0x64, 0xff, 0x9b}, 96, 12}, /* NAT64 */
	{{0x20, 0x02}, 16, 2},		/* 6to4 */
};

static bool
begins_with(const uint8_t *address, const uint8_t *block, int bits)
{
	uint8_t		mask = (uint8_t) (0xff << (8 - bits % 8));

	return memcmp(address, block, (size_t) (bits / 8)) == 0 &&
		(bits % 8 == 0 || ((address[bits / 8] ^ block[bits / 8]) & mask) == 0);
}

static const char *
find(const uint8_t *address, const Block *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (begins_with(address, blocks[i].bytes, blocks[i].bits))
			return blocks[i].kind;
	return NULL;
}

static const char *
ipv4_forbidden(const uint8_t *address)
{
	return find(address, ipv4_blocks, sizeof(ipv4_blocks) / sizeof(ipv4_blocks[0]));
}

const char *
address_forbidden(const struct sockaddr *address, bool *known)
{
	*known = true;
	if (address->sa_family == AF_INET)
	{
		struct sockaddr_in ipv4;
		uint8_t		bytes[4];

		memcpy(&ipv4, address, sizeof(ipv4));
		memcpy(bytes, &ipv4.sin_addr, sizeof(bytes));
		return ipv4_forbidden(bytes);
	}
	if (address->sa_family == AF_INET6)
	{
		struct sockaddr_in6 ipv6;
		uint8_t		bytes[16];
		const char *kind;

		memcpy(&ipv6, address, sizeof(ipv6));
		memcpy(bytes, &ipv6.sin6_addr, sizeof(bytes));
		kind = find(bytes, ipv6_blocks, sizeof(ipv6_blocks) / sizeof(ipv6_blocks[0]));
		for (size_t i = 0; i < sizeof(embedding) / sizeof(embedding[0]) && kind == NULL; i++)
			if (begins_with(bytes, embedding[i].bytes, embedding[i].bits))
				kind = ipv4_forbidden(bytes + embedding[i].at);
		return kind;
	}
	*known = false;
	return NULL;
}
