/*-------------------------------------------------------------------------
 *
 * sha256.h
 *	  SHA-256 of bytes and of values.
 *
 * A digest is PG_SHA256_DIGEST_LENGTH (32) bytes.  Both functions hear
 * interrupts while they work, and raise XX000 if libcrypto fails.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_SHA256_H
#define MEDIASTORE_SHA256_H

#include "common/sha2.h"

#include "value.h"

extern void sha256_bytes(const void *bytes, size_t length, uint8 *digest);

/* The value stays open. */
extern void sha256_value(Value *value, uint8 *digest);

#endif							/* MEDIASTORE_SHA256_H */
