/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  What went wrong with a picture, as PostgreSQL's errors.
 *
 *	  not an image, or damaged	22P03  invalid_binary_representation
 *	  format or feature unread	0A000  feature_not_supported
 *	  over a limit				54000  program_limit_exceeded, the hint names it
 *	  bad option				22023  invalid_parameter_value
 *	  no memory in the codec	53200  out_of_memory
 *	  a library's own failure	58000  system_error
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_ERRORS_H
#define MEDIASTORE_ERRORS_H

#include "../facts/facts.h"
#include "../image/image.h"

/* Raises what facts_read found wrong: any status but FACTS_OK. */
_Noreturn extern void error_facts(FactsStatus status, FactsFormat format,
								  const char *message);

/* Raises what the image room found wrong: any status but IMAGE_OK. */
_Noreturn extern void error_image(const ImageError *error);

/*
 * Raises that a limit was passed.  limit is its name without prefix:
 * "max_pixels" (a setting) or "max_bytes" (an option).
 */
_Noreturn extern void error_over_limit(const char *limit, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* Raises that mediastore.formats does not name a format. */
_Noreturn extern void error_format_disabled(FactsFormat format);

#endif							/* MEDIASTORE_ERRORS_H */
