/*-------------------------------------------------------------------------
 *
 * decode_jpeg.c
 *	  JPEG to planes as they are coded, by libjpeg-turbo.
 *
 * A JPEG is planes of YCbCr inside, and so is a lossy WebP.  So nothing is
 * upsampled or converted here: raw_data_out gives each component in its own
 * resolution, whatever its sampling factors, and the pipeline resizes each
 * plane from where it is.  DCT scaling makes most of a large reduction for
 * less than nothing (fewer samples to compute and to store).
 *
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "decode_jpeg.h"

#if JPEG_LIB_VERSION >= 70
#define COMPONENT_DCT_SIZE(component) ((component)->DCT_h_scaled_size)
#define MIN_DCT_SIZE(cinfo) ((cinfo)->min_DCT_h_scaled_size)
#else
#define COMPONENT_DCT_SIZE(component) ((component)->DCT_scaled_size)
#define MIN_DCT_SIZE(cinfo) ((cinfo)->min_DCT_scaled_size)
#endif

/*
 * A progressive picture of a few kilobytes can ask for thousands of passes
 * over all its blocks.  Real ones have about ten scans.
 */
#define JPEG_MOST_SCANS 200

typedef struct JpegDecoder
{
	struct jpeg_decompress_struct cinfo;
	struct jpeg_error_mgr errors;
	struct jpeg_source_mgr source;
	struct jpeg_progress_mgr progress;
	jmp_buf		escape;
	bool		created;
	bool		data_ended;		/* a marker was made up at the end */
	bool		corrupt;		/* a warning that means wrong pixels */
	int			message_code;	/* of the error that ended it */
	char		message[JMSG_LENGTH_MAX];
	uint8_t    *icc;			/* malloc'd by libjpeg */
	JSAMPROW   *rows;			/* pointers for one row of iMCUs */
} JpegDecoder;

static const JOCTET made_up_eoi[2] = {0xFF, JPEG_EOI};

static void
jpeg_error_exit(j_common_ptr common)
{
	JpegDecoder *decoder = common->client_data;

	decoder->message_code = common->err->msg_code;
	common->err->format_message(common, decoder->message);
	longjmp(decoder->escape, 1);
}

/*
 * Warnings.  Those that mean that samples were guessed make the picture a
 * damaged one; stray bytes between markers or odd header numbers do not.
 */
static void
jpeg_emit_message(j_common_ptr common, int level)
{
	JpegDecoder *decoder = common->client_data;

	if (level >= 0)
		return;
	switch (common->err->msg_code)
	{
		case JWRN_HIT_MARKER:
		case JWRN_HUFF_BAD_CODE:
		case JWRN_ARITH_BAD_CODE:
		case JWRN_MUST_RESYNC:
		case JWRN_NOT_SEQUENTIAL:
			if (!decoder->corrupt)
				common->err->format_message(common, decoder->message);
			decoder->corrupt = true;
			break;
		default:
			break;
	}
}

static void
jpeg_output_message(j_common_ptr common)
{
	(void) common;
}

static void
jpeg_init_source(j_decompress_ptr cinfo)
{
	(void) cinfo;
}

/*
 * All bytes are given at the start: what comes after is the end.  An EOI is
 * made up so that a picture that lacks nothing else is whole; if samples were
 * missing, the entropy decoder has warned.
 */
static boolean
jpeg_fill_input(j_decompress_ptr cinfo)
{
	JpegDecoder *decoder = cinfo->client_data;

	decoder->data_ended = true;
	cinfo->src->next_input_byte = made_up_eoi;
	cinfo->src->bytes_in_buffer = sizeof(made_up_eoi);
	return TRUE;
}

static void
jpeg_skip_input(j_decompress_ptr cinfo, long count)
{
	if (count <= 0)
		return;
	if ((size_t) count > cinfo->src->bytes_in_buffer)
		jpeg_fill_input(cinfo);
	else
	{
		cinfo->src->next_input_byte += count;
		cinfo->src->bytes_in_buffer -= (size_t) count;
	}
}

static void
jpeg_end_source(j_decompress_ptr cinfo)
{
	(void) cinfo;
}

static void
jpeg_watch_scans(j_common_ptr common)
{
	j_decompress_ptr cinfo = (j_decompress_ptr) common;

	if (cinfo->input_scan_number > JPEG_MOST_SCANS)
		ERREXIT(cinfo, JERR_BAD_PROGRESSION);
}

/* Did every coefficient of a progressive picture come in full precision? */
static bool
jpeg_progression_complete(j_decompress_ptr cinfo)
{
	if (cinfo->coef_bits == NULL)
		return false;
	for (int c = 0; c < cinfo->num_components; c++)
		for (int i = 0; i < DCTSIZE2; i++)
			if (cinfo->coef_bits[c][i] != 0)
				return false;
	return true;
}

static RasterColor
jpeg_raster_color(j_decompress_ptr cinfo)
{
	switch (cinfo->jpeg_color_space)
	{
		case JCS_GRAYSCALE:
			return RASTER_GRAY;
		case JCS_YCbCr:
			return RASTER_YCC;
		case JCS_CMYK:
			return RASTER_CMYK;
		case JCS_YCCK:
			return RASTER_YCCK;
		default:
			return RASTER_RGB;
	}
}

/*
 * Chooses the smallest DCT scale that leaves 1.5 times the target (SSIM falls
 * by 0.002 at once the target), of those that have SIMD: the odd ones make
 * fewer samples but take longer.
 */
static void
jpeg_choose_scale(j_decompress_ptr cinfo, int target)
{
	uint64_t	longest = cinfo->image_width > cinfo->image_height ?
		cinfo->image_width : cinfo->image_height;

	cinfo->scale_denom = DCTSIZE;
	for (cinfo->scale_num = 1; cinfo->scale_num < DCTSIZE; cinfo->scale_num *= 2)
		if (longest * cinfo->scale_num * 2 >= (uint64_t) target * 3 * DCTSIZE)
			break;
}

/* Reads header and planes.  May longjmp: a leaf below jpeg_guarded. */
static ImageStatus
jpeg_read_planes(JpegDecoder *decoder, const ImageFacts *facts, ImageSink *sink,
				 ImageError *error)
{
	j_decompress_ptr cinfo = &decoder->cinfo;
	Raster	   *raster = &sink->raster;
	JSAMPARRAY	planes[MAX_COMPONENTS];
	unsigned int icc_length;
	int			max_rows = 0;

	jpeg_save_markers(cinfo, JPEG_APP0 + 2, 0xFFFF);
	if (jpeg_read_header(cinfo, TRUE) != JPEG_HEADER_OK)
		return image_fail(error, IMAGE_DAMAGED, "JPEG has no picture");
	if (cinfo->image_width != facts->width || cinfo->image_height != facts->height)
		return image_fail(error, IMAGE_DAMAGED, "JPEG tells two sizes");
	if ((uint64_t) cinfo->image_width * cinfo->image_height > sink->limits.max_pixels)
		return image_fail_limit(error, "max_pixels",
								"picture of %u x %u pixels is too large",
								cinfo->image_width, cinfo->image_height);
	if (cinfo->num_components != 1 && cinfo->num_components != 3 &&
		cinfo->num_components != 4)
		return image_fail(error, IMAGE_UNSUPPORTED, "JPEG of %d components",
						  cinfo->num_components);

	if (jpeg_read_icc_profile(cinfo, &decoder->icc, &icc_length))
	{
		ImageStatus status = image_sink_icc(sink, decoder->icc, icc_length, error);

		if (status != IMAGE_OK)
			return status;
	}

	/*
	 * No colour conversion happens with raw data; the output colour must only
	 * be one that the library knows a way to.
	 */
	cinfo->raw_data_out = TRUE;
	cinfo->out_color_space = cinfo->jpeg_color_space;
	cinfo->do_fancy_upsampling = FALSE;
	cinfo->dct_method = JDCT_ISLOW;
	jpeg_choose_scale(cinfo, sink->target);
	jpeg_start_decompress(cinfo);

	raster->color = jpeg_raster_color(cinfo);
	sink->width = cinfo->image_width;
	sink->height = cinfo->image_height;
	for (int c = 0; c < cinfo->num_components; c++)
	{
		jpeg_component_info *component = &cinfo->comp_info[c];
		int			size = COMPONENT_DCT_SIZE(component);
		RasterPlane *plane = &raster->plane[c];

		/*
		 * The library writes whole blocks; allocate for them, and let covered
		 * tell where the picture ends.
		 */
		if (!raster_plane_allocate(plane, (int) component->width_in_blocks * size,
								   (int) cinfo->total_iMCU_rows *
								   component->v_samp_factor * size))
			return image_fail(error, IMAGE_NO_MEMORY,
							  "out of memory for %u x %u pixels",
							  cinfo->image_width, cinfo->image_height);
		raster->planes++;
		plane->width = (int) component->downsampled_width;
		plane->height = (int) component->downsampled_height;
		plane->covered_width = (double) cinfo->image_width *
			component->h_samp_factor * size / (cinfo->max_h_samp_factor * DCTSIZE);
		plane->covered_height = (double) cinfo->image_height *
			component->v_samp_factor * size / (cinfo->max_v_samp_factor * DCTSIZE);
		max_rows += component->v_samp_factor * size;
	}
	decoder->rows = malloc(sizeof(JSAMPROW) * (size_t) max_rows);
	if (decoder->rows == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");

	for (JDIMENSION row = 0; row < cinfo->total_iMCU_rows; row++)
	{
		JSAMPROW   *next = decoder->rows;

		for (int c = 0; c < cinfo->num_components; c++)
		{
			jpeg_component_info *component = &cinfo->comp_info[c];
			int			rows = component->v_samp_factor * COMPONENT_DCT_SIZE(component);

			planes[c] = next;
			for (int i = 0; i < rows; i++)
				*next++ = raster->plane[c].data +
					((ptrdiff_t) row * rows + i) * raster->plane[c].stride;
		}
		jpeg_read_raw_data(cinfo, planes,
						   (JDIMENSION) (cinfo->max_v_samp_factor * MIN_DCT_SIZE(cinfo)));
		if (decoder->corrupt)
			break;
	}

	if (decoder->corrupt)
		return image_fail(error, IMAGE_DAMAGED, "%s", decoder->message);
	if (decoder->data_ended && cinfo->progressive_mode && !jpeg_progression_complete(cinfo))
		return image_fail(error, IMAGE_DAMAGED, "JPEG ends before its last scan");
	for (int c = 0; c < cinfo->num_components; c++)
		if (cinfo->comp_info[c].quant_table == NULL)
			return image_fail(error, IMAGE_DAMAGED, "JPEG lacks a component's data");
	return IMAGE_OK;
}

/* The setjmp frame: nothing here changes between setjmp and longjmp. */
static ImageStatus
jpeg_guarded(JpegDecoder *decoder, const ImageFacts *facts, ImageSink *sink,
			 ImageError *error)
{
	if (setjmp(decoder->escape) != 0)
	{
		if (decoder->message_code == JERR_OUT_OF_MEMORY)
			return image_fail(error, IMAGE_NO_MEMORY, "out of memory in a JPEG");
		switch (decoder->message_code)
		{
			case JERR_BAD_PRECISION:
			case JERR_SOF_UNSUPPORTED:
			case JERR_ARITH_NOTIMPL:
			case JERR_CONVERSION_NOTIMPL:
			case JERR_NOT_COMPILED:
			case JERR_BAD_J_COLORSPACE:
				return image_fail(error, IMAGE_UNSUPPORTED, "%s", decoder->message);
			default:
				return image_fail(error, IMAGE_DAMAGED, "%s", decoder->message);
		}
	}
	jpeg_create_decompress(&decoder->cinfo);
	decoder->created = true;
	decoder->cinfo.src = &decoder->source;
	decoder->cinfo.progress = &decoder->progress;
	return jpeg_read_planes(decoder, facts, sink, error);
}

/* Adobe's programs store inks inverted: 255 is none. */
static void
invert_plane(RasterPlane *plane)
{
	for (int y = 0; y < plane->height; y++)
	{
		uint8_t    *row = plane->data + y * plane->stride;

		for (int x = 0; x < plane->width; x++)
			row[x] = 255 - row[x];
	}
}

ImageStatus
image_decode_jpeg(const uint8_t *data, size_t length, const struct ImageFacts *facts,
				  ImageSink *sink, ImageError *error)
{
	JpegDecoder *decoder = calloc(1, sizeof(JpegDecoder));
	ImageStatus status;

	if (decoder == NULL)
		return image_fail(error, IMAGE_NO_MEMORY, "out of memory");
	decoder->cinfo.err = jpeg_std_error(&decoder->errors);
	decoder->errors.error_exit = jpeg_error_exit;
	decoder->errors.emit_message = jpeg_emit_message;
	decoder->errors.output_message = jpeg_output_message;
	decoder->cinfo.client_data = decoder;
	decoder->progress.progress_monitor = jpeg_watch_scans;
	decoder->source.init_source = jpeg_init_source;
	decoder->source.fill_input_buffer = jpeg_fill_input;
	decoder->source.skip_input_data = jpeg_skip_input;
	decoder->source.resync_to_restart = jpeg_resync_to_restart;
	decoder->source.term_source = jpeg_end_source;
	decoder->source.next_input_byte = data;
	decoder->source.bytes_in_buffer = length;

	status = jpeg_guarded(decoder, facts, sink, error);

	/*
	 * Inks: libjpeg gives CMYK as the file has it, and with Adobe's marker that
	 * is inverted.  YCCK always is; its YCC codes 255 less the inverted CMY,
	 * which are the inks as they should be, and leaves its K.
	 */
	if (status == IMAGE_OK)
	{
		if (sink->raster.color == RASTER_CMYK && decoder->cinfo.saw_Adobe_marker)
		{
			for (int c = 0; c < 4; c++)
				invert_plane(&sink->raster.plane[c]);
		}
		else if (sink->raster.color == RASTER_YCCK)
			invert_plane(&sink->raster.plane[3]);
	}

	free(decoder->rows);
	free(decoder->icc);
	if (decoder->created)
		jpeg_destroy_decompress(&decoder->cinfo);
	free(decoder);
	return status;
}
