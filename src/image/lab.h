/*-------------------------------------------------------------------------
 *
 * lab.h
 *	  CIE Lab and linear light to sRGB (private to this room).
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_IMAGE_LAB_H
#define MEDIASTORE_IMAGE_LAB_H

#include <stdint.h>

/* sRGB's transfer curve, of linear light of 0..1. */
extern uint8_t srgb_from_linear(double light);

#define LAB_CURVE_STEPS 4096

/* The same as a table. */
typedef struct LabConverter
{
	uint8_t		curve[LAB_CURVE_STEPS + 1];
} LabConverter;

extern void lab_init(LabConverter *converter);

/* Lightness of 0..100; the white is D50, as it is wherever Lab is stored. */
extern void lab_to_srgb(const LabConverter *converter, double lightness, double a, double b,
						uint8_t rgb[3]);

#endif							/* MEDIASTORE_IMAGE_LAB_H */
