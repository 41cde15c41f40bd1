/*-------------------------------------------------------------------------
 *
 * courier.h
 *	  What the files of the courier program have of each other.
 *
 *	  courier.c			  the main loop: the parent's frames, stores, transfers
 *	  courier_slots.c	  the bytes of a transfer, in its slots of the arena
 *	  courier_send.c	  what is said to the parent
 *	  courier_main.c	  mediastore-courier
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COURIER_H
#define MEDIASTORE_COURIER_H

#include "../store/driver.h"

/* Exit statuses; a parent sees nothing worse than an end of file. */
#define EXIT_LEFT		0
#define EXIT_SETUP		3
#define EXIT_PROTOCOL	4

/* Slots that a transfer has: there are as many as all transfers can use. */
#define SLOTS_EACH		(COURIER_SLOTS / COURIER_TRANSFERS)

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_WANTED,				/* asked for */
	SLOT_STALE,					/* asked for, but not needed any more */
	SLOT_FULL,					/* PUT: its bytes are there */
	SLOT_FILLING,				/* GET, LIST: bytes are being added */
	SLOT_LENT					/* GET, LIST: the parent reads it */
} SlotState;

typedef struct Slot
{
	SlotState	state;
	uint64_t	offset;			/* of its first byte, in the object or list */
	size_t		length;
} Slot;

typedef struct Store
{
	uint32_t	number;
	int			users;			/* transfers, and the table of stores */
	char	   *text;
	size_t		length;
	const StoreDriver *driver;
	void	   *opened;			/* NULL: why says what is wrong */
	DriverFields fields;
	DriverResult why;
} Store;

typedef struct Transfer
{
	DriverTransfer driver;		/* what the drivers see */
	uint32_t	number;			/* 0: not in use */
	Store	   *store;
	int			concurrency;	/* as BEGIN has it; 0: it waits for none */
	long		timeout;		/* all it may take, ms; 0: as long as it likes */
	bool		waiting;		/* for its turn */
	bool		running;		/* the driver has begun it, and not ended */
	bool		awake;			/* step is to be called */
	bool		ended;			/* the result is there; slots may still be out */
	char	   *text;			/* kept for the next transfer */
	size_t		text_room;
	DriverFields fields;

	/* its bytes */
	uint32_t	first_slot;
	Slot		slots[SLOTS_EACH];
	uint64_t	at;				/* PUT: the next byte to be read */
	uint64_t	asked;			/* PUT: the next byte to be asked for */
	bool		failed;			/* PUT: bytes that can't be had */
	int			filling;		/* GET, LIST: the slot that is filled; -1: none */
	uint64_t	written;		/* GET, LIST: bytes so far */
} Transfer;

/* The arena; of COURIER_ARENA_SIZE. */
extern uint8_t *courier_arena;

extern const DriverHost courier_host;

/* Makes its slots ready; for a PUT it asks for the first bytes. */
extern void slots_begin(Transfer *transfer);

/* The parent's answers; false if they break the rules. */
extern bool slots_filled(Transfer *transfer, const CourierFrame *frame);
extern bool slots_taken(Transfer *transfer, const CourierFrame *frame);

/* What is left to be read goes to the parent. */
extern void slots_flush(Transfer *transfer);

/* Whether the parent still owes an answer. */
extern bool slots_out(const Transfer *transfer);

/* Sends a frame, or keeps it until the parent has room for it. */
extern void courier_send(CourierFrame *frame, const char *text, size_t text_length);

/* Sends what was kept, as far as there is room; whether any is left. */
extern bool courier_send_kept(void);

/* Sends how a transfer has ended. */
extern void courier_send_result(const Transfer *transfer);

/*
 * The program ends here, whatever it is doing: nothing of it is worth keeping,
 * and the system closes what is open.
 */
_Noreturn extern void courier_leave(int status);

/* What a driver is given as wake and end. */
extern void courier_wake(DriverTransfer *transfer);
extern void courier_end(DriverTransfer *transfer);

/* The program; returns its exit status. */
extern int	courier_run(int argc, char **argv);

#endif							/* MEDIASTORE_COURIER_H */
