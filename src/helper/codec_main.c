/*-------------------------------------------------------------------------
 *
 * codec_main.c
 *	  mediastore-codec: every format but HEIF and AVIF.
 *
 *-------------------------------------------------------------------------
 */
#include "codec.h"

int
main(int argc, char **argv)
{
	return codec_run(argc, argv, false);
}
