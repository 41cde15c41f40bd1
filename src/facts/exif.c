/*-------------------------------------------------------------------------
 *
 * exif.c
 *	  Directories of TIFF files and EXIF blocks, and EXIF's orientation.
 *
 * EXIF is a small TIFF file inside another file, so one reader of directories
 * serves both.  It follows no pointer by itself: each function does one step,
 * and its caller counts the steps.
 *
 *-------------------------------------------------------------------------
 */
#include "exif.h"

#include <string.h>

/* Far more than any camera writes into a block's first directory. */
#define EXIF_MAX_ENTRIES	1024

/*
 * The length bytes at an offset of the block.
 */
static const uint8_t *
block_bytes(const ExifBlock *block, uint64_t at, size_t length)
{
	if (at > block->length || length > block->length - at)
		return NULL;
	return facts_bytes(block->reader, block->start + at, length);
}

static uint16_t
get16(const ExifBlock *block, const uint8_t *bytes)
{
	return block->big_endian ? facts_be16(bytes) : facts_le16(bytes);
}

static uint32_t
get32(const ExifBlock *block, const uint8_t *bytes)
{
	return block->big_endian ? facts_be32(bytes) : facts_le32(bytes);
}

static uint64_t
get64(const ExifBlock *block, const uint8_t *bytes)
{
	return block->big_endian ? facts_be64(bytes) : facts_le64(bytes);
}

bool
facts_exif_open(ExifBlock *block, FactsReader *reader, uint64_t start, uint64_t length,
		  uint64_t *first_directory)
{
	const uint8_t *bytes;

	block->reader = reader;
	block->start = start;
	block->length = facts_clip(reader, start, length);
	block->big_tiff = false;

	bytes = block_bytes(block, 0, 8);
	if (bytes == NULL)
		return false;
	if (bytes[0] == 'I' && bytes[1] == 'I')
		block->big_endian = false;
	else if (bytes[0] == 'M' && bytes[1] == 'M')
		block->big_endian = true;
	else
		return false;

	if (get16(block, bytes + 2) == 42)
	{
		*first_directory = get32(block, bytes + 4);
		return true;
	}
	if (get16(block, bytes + 2) == 43 && get16(block, bytes + 4) == 8 &&
		get16(block, bytes + 6) == 0)
	{
		block->big_tiff = true;
		bytes = block_bytes(block, 8, 8);
		if (bytes == NULL)
			return false;
		*first_directory = get64(block, bytes);
		return true;
	}
	return false;
}

bool
facts_exif_directory(const ExifBlock *block, uint64_t at, ExifDirectory *directory)
{
	size_t		size = block->big_tiff ? 8 : 2;
	const uint8_t *bytes;

	/* Offset 0 is the block's own header: it means "none". */
	if (at == 0)
		return false;
	bytes = block_bytes(block, at, size);
	if (bytes == NULL)
		return false;
	directory->entries = block->big_tiff ? get64(block, bytes) : get16(block, bytes);
	directory->entries_at = at + size;
	return true;
}

/*
 * Where entry "index" begins, or the end of the entries when index is their
 * number; false if that is past the block.
 */
static bool
entry_offset(const ExifBlock *block, const ExifDirectory *directory,
			 uint64_t index, uint64_t *at)
{
	uint64_t	size = block->big_tiff ? 20 : 12;

	if (index > (block->length - directory->entries_at) / size)
		return false;
	*at = directory->entries_at + index * size;
	return true;
}

bool
facts_exif_entry(const ExifBlock *block, const ExifDirectory *directory,
		   uint64_t index, ExifEntry *entry)
{
	const uint8_t *bytes;
	uint64_t	at;
	uint64_t	room = block->big_tiff ? 8 : 4;
	uint64_t	value_size;

	if (!entry_offset(block, directory, index, &at))
		return false;
	bytes = block_bytes(block, at, block->big_tiff ? 20 : 12);
	if (bytes == NULL)
		return false;

	entry->tag = get16(block, bytes);
	entry->type = get16(block, bytes + 2);
	switch (entry->type)
	{
		case 3:					/* SHORT */
			value_size = 2;
			break;
		case 4:					/* LONG */
		case 13:				/* IFD */
			value_size = 4;
			break;
		case 16:				/* LONG8 */
		case 18:				/* IFD8 */
			value_size = 8;
			break;
		default:				/* BYTE and what facts_exif_value refuses */
			value_size = 1;
			break;
	}
	if (block->big_tiff)
	{
		entry->count = get64(block, bytes + 4);
		entry->values_at = entry->count <= room / value_size ?
			at + 12 : get64(block, bytes + 12);
	}
	else
	{
		entry->count = get32(block, bytes + 4);
		entry->values_at = entry->count <= room / value_size ?
			at + 8 : get32(block, bytes + 8);
	}
	return true;
}

bool
facts_exif_value(const ExifBlock *block, const ExifEntry *entry, uint64_t index,
		   uint64_t *value)
{
	const uint8_t *bytes;
	size_t		size;

	switch (entry->type)
	{
		case 1:
			size = 1;
			break;
		case 3:
			size = 2;
			break;
		case 4:
		case 13:
			size = 4;
			break;
		case 16:
		case 18:
			size = 8;
			break;
		default:
			return false;
	}
	if (index >= entry->count || entry->values_at > block->length ||
		index >= (block->length - entry->values_at) / size)
		return false;
	bytes = block_bytes(block, entry->values_at + index * size, size);
	if (bytes == NULL)
		return false;
	*value = size == 1 ? bytes[0] :
		size == 2 ? get16(block, bytes) :
		size == 4 ? get32(block, bytes) : get64(block, bytes);
	return true;
}

uint64_t
facts_exif_next_directory(const ExifBlock *block, const ExifDirectory *directory)
{
	const uint8_t *bytes;
	uint64_t	at;

	if (!entry_offset(block, directory, directory->entries, &at))
		return 0;
	bytes = block_bytes(block, at, block->big_tiff ? 8 : 4);
	if (bytes == NULL)
		return 0;
	return block->big_tiff ? get64(block, bytes) : get32(block, bytes);
}

int
facts_exif_orientation(FactsReader *reader, uint64_t start, uint64_t length)
{
	const uint8_t *bytes;
	ExifBlock	block;
	ExifDirectory directory;
	ExifEntry	entry;
	uint64_t	at;
	uint64_t	value;

	length = facts_clip(reader, start, length);
	if (length < 8)
		return 1;
	bytes = facts_bytes(reader, start, 6);
	if (bytes == NULL)
		return 1;
	if (memcmp(bytes, "Exif\0\0", 6) == 0)
	{
		start += 6;
		length -= 6;
	}

	if (!facts_exif_open(&block, reader, start, length, &at) ||
		!facts_exif_directory(&block, at, &directory))
		return 1;

	/* Entries should be sorted by tag; not everybody's are, so look at all. */
	for (uint64_t i = 0; i < directory.entries && i < EXIF_MAX_ENTRIES; i++)
	{
		if (!facts_exif_entry(&block, &directory, i, &entry))
			break;
		if (entry.tag == EXIF_TAG_ORIENTATION)
			return facts_exif_value(&block, &entry, 0, &value) &&
				value >= 1 && value <= 8 ? (int) value : 1;
	}
	return 1;
}
