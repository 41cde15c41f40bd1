/*-------------------------------------------------------------------------
 *
 * exif.h
 *	  The directories that TIFF files and EXIF blocks are made of (private to
 *	  the facts room).
 *
 * A directory is an array of entries, each a tag with values that lie in the
 * entry itself or, if too large for it, somewhere else in the block.  Every
 * offset counts from the block's start, and nothing outside the block is
 * ever read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_FACTS_EXIF_H
#define MEDIASTORE_FACTS_EXIF_H

#include "reader.h"

/* Tags that EXIF blocks and TIFF files have in common. */
#define EXIF_TAG_ORIENTATION	0x0112

typedef struct ExifBlock
{
	FactsReader *reader;
	uint64_t	start;			/* of the block in the value */
	uint64_t	length;			/* start + length <= the value's */
	bool		big_endian;
	bool		big_tiff;		/* 8-byte offsets and counts */
} ExifBlock;

typedef struct ExifDirectory
{
	uint64_t	entries;		/* how many it claims */
	uint64_t	entries_at;		/* where they begin in the block */
} ExifDirectory;

typedef struct ExifEntry
{
	unsigned	tag;
	unsigned	type;
	uint64_t	count;			/* values */
	uint64_t	values_at;		/* in the block; unchecked */
} ExifEntry;

/*
 * Opens the block of length bytes at start (clipped to the value) and gives
 * the offset of its first directory; false if it is no such block.
 */
extern bool facts_exif_open(ExifBlock *block, FactsReader *reader, uint64_t start,
					  uint64_t length, uint64_t *first_directory);

/* The directory at an offset; false if the block ends before. */
extern bool facts_exif_directory(const ExifBlock *block, uint64_t at,
						   ExifDirectory *directory);

/* An entry of it; false if the block ends before. */
extern bool facts_exif_entry(const ExifBlock *block, const ExifDirectory *directory,
					   uint64_t index, ExifEntry *entry);

/* One of an entry's values, if it is of a whole-number type. */
extern bool facts_exif_value(const ExifBlock *block, const ExifEntry *entry,
					   uint64_t index, uint64_t *value);

/* The offset of the next directory, 0 if there is none. */
extern uint64_t facts_exif_next_directory(const ExifBlock *block,
									const ExifDirectory *directory);

/*
 * The orientation, 1 to 8, that an EXIF block tells, with or without "Exif"
 * and two zero bytes before it; 1 when it tells none.
 */
extern int	facts_exif_orientation(FactsReader *reader, uint64_t start, uint64_t length);

#endif							/* MEDIASTORE_FACTS_EXIF_H */
