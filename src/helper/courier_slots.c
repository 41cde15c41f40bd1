/*-------------------------------------------------------------------------
 *
 * courier_slots.c
 *	  The bytes of a transfer, in its slots of the arena.
 *
 * Each transfer has slots of its own, as many as the arena has for all of
 * them, so none waits for another's.  A PUT's are a window of the object: the
 * bytes of chunk n are in slot n modulo their number.  An object that fits
 * into the window stays in it, so it can be sent again at once.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "courier.h"

uint8_t    *courier_arena;

static uint8_t *
slot_bytes(const Transfer *transfer, int slot)
{
	return courier_arena + (transfer->first_slot + (uint32_t) slot) * COURIER_SLOT_SIZE;
}

static void
send_slot(const Transfer *transfer, CourierKind kind, int slot)
{
	CourierFrame frame = {
		.kind = kind,.transfer = transfer->number,
		.slot = transfer->first_slot + (uint32_t) slot,
		.offset = transfer->slots[slot].offset,.length = transfer->slots[slot].length
	};

	courier_send(&frame, NULL, 0);
}

/* --- a PUT's ------------------------------------------------------------- */

static bool
fits_window(const Transfer *transfer)
{
	return transfer->driver.length <= SLOTS_EACH * COURIER_SLOT_SIZE;
}

static int
slot_of(uint64_t offset)
{
	return (int) (offset / COURIER_SLOT_SIZE % SLOTS_EACH);
}

/* Asks for the bytes there are slots for. */
static void
ask(Transfer *transfer)
{
	while (!transfer->failed && !transfer->ended && transfer->asked < transfer->driver.length)
	{
		int			number = slot_of(transfer->asked);
		Slot	   *slot = &transfer->slots[number];
		uint64_t	left = transfer->driver.length - transfer->asked;

		if (slot->state != SLOT_FREE)
			return;
		slot->state = SLOT_WANTED;
		slot->offset = transfer->asked;
		slot->length = (size_t) (left < COURIER_SLOT_SIZE ? left : COURIER_SLOT_SIZE);
		transfer->asked += slot->length;
		send_slot(transfer, COURIER_WANT, number);
	}
}

void
slots_begin(Transfer *transfer)
{
	memset(transfer->slots, 0, sizeof(transfer->slots));
	transfer->at = 0;
	transfer->asked = 0;
	transfer->failed = false;
	transfer->filling = -1;
	transfer->written = 0;
	if (transfer->driver.operation == COURIER_PUT)
		ask(transfer);
}

bool
slots_filled(Transfer *transfer, const CourierFrame *frame)
{
	uint32_t	number = frame->slot - transfer->first_slot;
	Slot	   *slot;

	if (frame->slot < transfer->first_slot || number >= SLOTS_EACH)
		return false;
	slot = &transfer->slots[number];
	if ((slot->state != SLOT_WANTED && slot->state != SLOT_STALE) ||
		frame->offset != slot->offset || (frame->length != slot->length && frame->length != 0))
		return false;
	if (slot->state == SLOT_STALE)
		slot->state = SLOT_FREE;
	else if (frame->length == 0)
	{
		slot->state = SLOT_FREE;
		transfer->failed = true;
	}
	else
		slot->state = SLOT_FULL;
	ask(transfer);
	transfer->awake = true;
	return true;
}

static const uint8_t *
peek(DriverTransfer *driver_transfer, size_t *length, bool *failed)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	int			number = slot_of(transfer->at);
	const Slot *slot = &transfer->slots[number];
	size_t		skip;

	*failed = false;
	*length = 0;
	if (transfer->at >= driver_transfer->length)
		return NULL;
	if (slot->state != SLOT_FULL || transfer->at < slot->offset ||
		transfer->at >= slot->offset + slot->length)
	{
		*failed = transfer->failed;
		return NULL;
	}
	skip = (size_t) (transfer->at - slot->offset);
	*length = slot->length - skip;
	return slot_bytes(transfer, number) + skip;
}

static void
advance(DriverTransfer *driver_transfer, size_t length)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	Slot	   *slot = &transfer->slots[slot_of(transfer->at)];

	transfer->at += length;
	if (transfer->at == slot->offset + slot->length && !fits_window(transfer))
	{
		slot->state = SLOT_FREE;
		ask(transfer);
	}
}

static void
rewind_bytes(DriverTransfer *driver_transfer)
{
	Transfer   *transfer = (Transfer *) driver_transfer;

	transfer->at = 0;
	if (fits_window(transfer))
		return;
	for (int i = 0; i < SLOTS_EACH; i++)
	{
		Slot	   *slot = &transfer->slots[i];

		if (slot->state == SLOT_WANTED)
			slot->state = SLOT_STALE;
		else if (slot->state == SLOT_FULL)
			slot->state = SLOT_FREE;
	}
	transfer->asked = 0;
	ask(transfer);
}

/* --- a GET's and a LIST's ------------------------------------------------ */

bool
slots_taken(Transfer *transfer, const CourierFrame *frame)
{
	uint32_t	number = frame->slot - transfer->first_slot;

	if (frame->slot < transfer->first_slot || number >= SLOTS_EACH ||
		transfer->slots[number].state != SLOT_LENT)
		return false;
	transfer->slots[number].state = SLOT_FREE;
	transfer->awake = true;
	return true;
}

static size_t
room(DriverTransfer *driver_transfer)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	size_t		bytes = 0;

	for (int i = 0; i < SLOTS_EACH; i++)
		if (transfer->slots[i].state == SLOT_FREE)
			bytes += COURIER_SLOT_SIZE;
		else if (transfer->slots[i].state == SLOT_FILLING)
			bytes += COURIER_SLOT_SIZE - transfer->slots[i].length;
	return bytes;
}

void
slots_flush(Transfer *transfer)
{
	Slot	   *slot;

	if (transfer->filling < 0)
		return;
	slot = &transfer->slots[transfer->filling];
	if (slot->length > 0)
	{
		slot->state = SLOT_LENT;
		send_slot(transfer, COURIER_DATA, transfer->filling);
	}
	else
		slot->state = SLOT_FREE;
	transfer->filling = -1;
}

static uint8_t *
space(DriverTransfer *driver_transfer, size_t *length)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	Slot	   *slot;

	*length = 0;
	for (int i = 0; i < SLOTS_EACH && transfer->filling < 0; i++)
		if (transfer->slots[i].state == SLOT_FREE)
		{
			transfer->slots[i].state = SLOT_FILLING;
			transfer->slots[i].offset = transfer->written;
			transfer->slots[i].length = 0;
			transfer->filling = i;
		}
	if (transfer->filling < 0)
		return NULL;
	slot = &transfer->slots[transfer->filling];
	*length = COURIER_SLOT_SIZE - slot->length;
	return slot_bytes(transfer, transfer->filling) + slot->length;
}

static void
added(DriverTransfer *driver_transfer, size_t length)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	Slot	   *slot = &transfer->slots[transfer->filling];

	slot->length += length;
	transfer->written += length;
	if (slot->length == COURIER_SLOT_SIZE)
		slots_flush(transfer);
}

static bool
fit(DriverTransfer *driver_transfer, size_t length)
{
	Transfer   *transfer = (Transfer *) driver_transfer;
	size_t		left;

	if (space(driver_transfer, &left) == NULL)
		return false;
	if (left >= length)
		return true;
	slots_flush(transfer);
	return space(driver_transfer, &left) != NULL && left >= length;
}

/* --- both ---------------------------------------------------------------- */

bool
slots_out(const Transfer *transfer)
{
	for (int i = 0; i < SLOTS_EACH; i++)
		if (transfer->slots[i].state == SLOT_WANTED || transfer->slots[i].state == SLOT_STALE ||
			transfer->slots[i].state == SLOT_LENT)
			return true;
	return false;
}

const DriverHost courier_host = {
	.peek = peek,
	.advance = advance,
	.rewind = rewind_bytes,
	.room = room,
	.space = space,
	.added = added,
	.fit = fit,
	.wake = courier_wake,
	.end = courier_end,
};
