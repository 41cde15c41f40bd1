/*-------------------------------------------------------------------------
 *
 * budget.h
 *	  The best picture that fits a number of bytes (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_BUDGET_H
#define MEDIASTORE_IMAGE_BUDGET_H

#include "decode.h"

typedef struct BudgetTask
{
	/*
	 * Encodes the picture with this longest side at this quality: *data is
	 * malloc'd, the caller's.
	 */
	ImageStatus (*encode) (void *context, int side, int quality,
						   uint8_t **data, size_t *length, ImageError *error);
	void	   *context;
	int			side;			/* the longest side wanted, pixels */
	int			min_quality;	/* 1..quality; both may be ENCODE_LOSSLESS */
	int			quality;
	size_t		wish;			/* bytes to stay within as far as min_quality
								 * at the side wanted allows; <= limit */
	size_t		limit;			/* bytes that must be kept */
	bool		may_shrink;		/* make the side smaller to keep the limit */
	size_t		too_large;		/* unless 0: a guess of what the side wanted
								 * takes at min_quality, which is known to be
								 * above the limit; then it is not tried */
} BudgetTask;

/* A result and how it was made. */
typedef struct BudgetBest
{
	uint8_t    *data;			/* malloc'd */
	size_t		length;
	int			side;
	int			quality;
} BudgetBest;

extern void budget_best_free(BudgetBest *best);

/*
 * The task that the options set for a picture of this size, which came in so
 * many bytes; encode and context are the caller's to fill in.
 */
extern BudgetTask budget_task(const ImageCompressOptions *options, uint32_t width,
							  uint32_t height, size_t input_length);

/*
 * Finds the best result: the highest quality that keeps the wish, at the side
 * wanted; else the lowest quality, if that keeps the limit; else, if the task
 * may shrink, the largest side that keeps the limit at the lowest quality,
 * with what quality then has room.  *best is the caller's to free.  When
 * nothing keeps the limit, *best is the smallest result seen, or (after
 * shrinking to one pixel) the error is IMAGE_OVER_LIMIT.
 */
extern ImageStatus budget_fit(const BudgetTask *task, BudgetBest *best,
							  ImageError *error);

#endif							/* MEDIASTORE_IMAGE_BUDGET_H */
