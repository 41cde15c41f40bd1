/*-------------------------------------------------------------------------
 *
 * codec_heif_main.c
 *	  mediastore-codec-heif: the same with libheif, for HEIF and AVIF.
 *
 * A program of its own because libheif's decoders are many, load slowly and
 * start threads: what needs none of them keeps the narrower sandbox.
 *
 *-------------------------------------------------------------------------
 */
#include "codec.h"
#include "../image/image.h"

int
main(int argc, char **argv)
{
	image_heif_init();
	image_set_heif_decoder(image_decode_heif);
	return codec_run(argc, argv, true);
}
