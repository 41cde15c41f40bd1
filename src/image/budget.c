/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  The best picture that fits a number of bytes, in few encodes.
 *
 * How size grows with quality is much the same curve for all pictures, but for
 * its height and its steepness.  So one encode and the usual steepness give a
 * good guess, and two give the picture's own.  A quality is the best when it
 * fits and the next one was seen not to.
 * The side of a picture that has to shrink is found the same way, on a log-log
 * scale.
 * Every step keeps a bracket (fits below, does not fit above), so a search
 * ends, and ends at a result that was really made.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "encode.h"

/* d(log size) / d(log side) likewise; 2 would be bytes by area. */
#define BUDGET_USUAL_SIDE_SLOPE 1.6

/* After so many tries the model is no use for this picture: halve instead. */
#define BUDGET_MODEL_TRIES 5

/* A side whose result fills this much of the limit is large enough. */
#define BUDGET_SIDE_FILL 0.8

/* Nor is it worth more tries than this to find a larger one. */
#define BUDGET_SIDE_TRIES 6

/* A size that was found; at is a quality or a side, 0 if there is none yet. */
typedef struct BudgetPoint
{
	int			at;
	double		log_size;
} BudgetPoint;

/*
 * The logarithm of the size at quality 0, 5, ... 100, against that at 85: the
 * mean of 49 photographs at 768 pixels, with libwebp's method 4.  The kink at
 * 75 is libwebp's (QualityToCompression in src/enc/quant_enc.c).
 */
static const double usual_curve[] = {
	-2.010, -1.729, -1.537, -1.393, -1.268, -1.160, -1.061, -0.970, -0.885, -0.808, -0.742,
	-0.677, -0.615, -0.555, -0.490, -0.426, -0.223, 0.000, 0.299, 0.710, 1.035
};

#define CURVE_STEP	5
#define CURVE_LAST	(100 / CURVE_STEP)

static double
curve_at_quality(int quality)
{
	int			i = quality / CURVE_STEP < CURVE_LAST ? quality / CURVE_STEP : CURVE_LAST - 1;

	return usual_curve[i] + (usual_curve[i + 1] - usual_curve[i]) *
		(quality - i * CURVE_STEP) / CURVE_STEP;
}

/* The highest quality at which the curve is no higher; may be out of range. */
static int
quality_at_curve(double value)
{
	int			i = 0;

	while (i < CURVE_LAST - 1 && usual_curve[i + 1] <= value)
		i++;
	return (int) floor(CURVE_STEP * (i + (value - usual_curve[i]) /
									 (usual_curve[i + 1] - usual_curve[i])));
}

void
budget_best_free(BudgetBest *best)
{
	free(best->data);
	memset(best, 0, sizeof(*best));
}

BudgetTask
budget_task(const ImageCompressOptions *options, uint32_t width, uint32_t height,
			size_t input_length)
{
	bool		lossless = (options->lossless == IMAGE_LOSSLESS_ALWAYS);
	uint32_t	longest = width > height ? width : height;
	BudgetTask	task;

	memset(&task, 0, sizeof(task));
	task.side = longest < (uint32_t) options->max_dimension ?
		(int) longest : options->max_dimension;
	task.min_quality = lossless ? ENCODE_LOSSLESS : options->min_quality;
	task.quality = lossless ? ENCODE_LOSSLESS : options->quality;
	task.limit = (size_t) options->max_bytes;
	task.wish = input_length < task.limit ? input_length : task.limit;
	task.may_shrink = true;
	return task;
}

/*
 * Encodes once.  The result becomes best if it is the first, if it keeps the
 * budget and best does not or has less quality or side, or if neither does
 * and it is the smaller.
 */
static ImageStatus
budget_try(const BudgetTask *task, int side, int quality, size_t budget,
		   BudgetBest *best, size_t *length, ImageError *error)
{
	uint8_t    *data;
	ImageStatus status;
	bool		better;

	status = task->encode(task->context, side, quality, &data, length, error);
	if (status != IMAGE_OK)
		return status;
	if (best->data == NULL)
		better = true;
	else if (*length <= budget)
		better = best->length > budget || side > best->side ||
			(side == best->side && quality > best->quality);
	else
		better = *length < best->length;
	if (!better)
	{
		free(data);
		return IMAGE_OK;
	}
	free(best->data);
	best->data = data;
	best->length = *length;
	best->side = side;
	best->quality = quality;
	return IMAGE_OK;
}

/* How steep a picture's curve is between two points, against the usual one. */
static double
steepness(const BudgetPoint *low, const BudgetPoint *high)
{
	if (low->at == 0 || high->at == 0 || low->at == high->at)
		return 1;
	return fmin(fmax((high->log_size - low->log_size) /
					 (curve_at_quality(high->at) - curve_at_quality(low->at)), 0.1), 5);
}

/*
 * Searches the best quality at one side that keeps the budget, beginning with
 * first, unless best has a result of that already.
 */
static ImageStatus
search_quality(const BudgetTask *task, int side, int first, size_t budget,
			   BudgetBest *best, ImageError *error)
{
	double		goal = log((double) budget);
	BudgetPoint fits = {0, 0};	/* the highest that does */
	BudgetPoint over = {0, 0};	/* the lowest that does not */
	BudgetPoint before = {0, 0};	/* another point, for the slope */
	int			next = first;

	for (int tries = 1;; tries++)
	{
		BudgetPoint here;
		BudgetPoint from;
		double		steep;
		size_t		length;

		if (best->data != NULL && best->side == side && best->quality == next)
			length = best->length;
		else
		{
			ImageStatus status = budget_try(task, side, next, budget, best, &length, error);

			if (status != IMAGE_OK)
				return status;
		}
		here.at = next;
		here.log_size = log((double) length);
		if (length <= budget)
		{
			before = fits;
			fits = here;
		}
		else
		{
			before = over;
			over = here;
		}
		if (fits.at == task->quality || over.at == task->min_quality ||
			(fits.at != 0 && over.at != 0 && over.at - fits.at <= 1))
			return IMAGE_OK;

		if (fits.at != 0 && over.at != 0)
		{
			steep = steepness(&fits, &over);
			from = fits;
		}
		else
		{
			from = fits.at != 0 ? fits : over;
			steep = fits.at != 0 ? steepness(&before, &fits) : steepness(&over, &before);
		}
		next = quality_at_curve(curve_at_quality(from.at) + (goal - from.log_size) / steep);
		if (tries > BUDGET_MODEL_TRIES)
			next = ((fits.at != 0 ? fits.at : task->min_quality) +
					(over.at != 0 ? over.at : task->quality)) / 2;

		/* stay within the bracket */
		if (next <= (fits.at != 0 ? fits.at : task->min_quality - 1))
			next = fits.at != 0 ? fits.at + 1 : task->min_quality;
		if (next >= (over.at != 0 ? over.at : task->quality + 1))
			next = over.at != 0 ? over.at - 1 : task->quality;
	}
}

/*
 * Searches the largest side whose result at the lowest quality keeps the
 * limit; too_large is what the side wanted took.
 */
static ImageStatus
search_side(const BudgetTask *task, size_t too_large, BudgetBest *best, ImageError *error)
{
	double		goal = log((double) task->limit * (1.0 + BUDGET_SIDE_FILL) / 2.0);
	BudgetPoint fits = {0, 0};
	BudgetPoint over = {task->side, log((double) too_large)};
	double		slope = BUDGET_USUAL_SIDE_SLOPE;
	int			tries = 0;

	for (;;)
	{
		BudgetPoint from = fits.at != 0 ? fits : over;
		BudgetPoint here;
		size_t		length;
		ImageStatus status;
		int			next;

		if (over.at == 1)
			return image_fail_limit(error, "max_bytes",
									"picture cannot be made to fit in %zu bytes",
									task->limit);
		next = (int) (from.at * exp((goal - from.log_size) / slope));
		if (tries >= BUDGET_SIDE_TRIES)
			next = 1;			/* nothing fits: does anything at all? */
		if (next <= fits.at)
			next = fits.at + 1;
		if (next >= over.at)
			next = over.at - 1;

		status = budget_try(task, next, task->min_quality, task->limit, best, &length, error);
		if (status != IMAGE_OK)
			return status;
		here.at = next;
		here.log_size = log((double) length);
		if (from.at != here.at)
			slope = fmin(fmax((here.log_size - from.log_size) / log((double) here.at / from.at),
							  0.5), 6.0);
		if (length <= task->limit)
			fits = here;
		else
			over = here;
		tries++;
		if (fits.at != 0 &&
			(tries >= BUDGET_SIDE_TRIES || over.at - fits.at <= 1 ||
			 (double) best->length >= BUDGET_SIDE_FILL * (double) task->limit))
			return IMAGE_OK;
	}
}

ImageStatus
budget_fit(const BudgetTask *task, BudgetBest *best, ImageError *error)
{
	ImageStatus status = IMAGE_OK;
	size_t		too_large = task->too_large;

	memset(best, 0, sizeof(*best));
	if (too_large == 0)
	{
		status = search_quality(task, task->side, task->quality, task->wish, best, error);
		if (status == IMAGE_OK && best->length > task->limit && task->may_shrink)
			too_large = best->length;
	}
	if (too_large != 0)
	{
		status = search_side(task, too_large, best, error);
		if (status == IMAGE_OK)
			status = search_quality(task, best->side, task->min_quality, task->limit,
									best, error);
	}
	if (status != IMAGE_OK)
		budget_best_free(best);
	return status;
}
