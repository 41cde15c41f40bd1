/*-------------------------------------------------------------------------
 *
 * lab.c
 *	  CIE Lab and linear light to sRGB.
 *
 * Only TIFF comes with Lab pixels.  libtiff's own conversion leaves out the
 * way from Lab's white (D50) to sRGB's (D65), and makes gray yellow.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "lab.h"

uint8_t
srgb_from_linear(double light)
{
	double		value = light <= 0.0031308 ? light * 12.92
		: 1.055 * pow(light, 1 / 2.4) - 0.055;

	return (uint8_t) (value * 255 + 0.5);
}

void
lab_init(LabConverter *converter)
{
	for (int i = 0; i <= LAB_CURVE_STEPS; i++)
		converter->curve[i] = srgb_from_linear((double) i / LAB_CURVE_STEPS);
}

/* The inverse of Lab's compression. */
static double
lab_expand(double value)
{
	const double edge = 6.0 / 29.0;

	if (value > edge)
		return value * value * value;
	return 3 * edge * edge * (value - 4.0 / 29.0);
}

void
lab_to_srgb(const LabConverter *converter, double lightness, double a, double b,
			uint8_t rgb[3])
{
	/* From XYZ under D50 to linear sRGB, Bradford's adaptation included. */
	static const double matrix[3][3] = {
		{3.1338561, -1.6168667, -0.4906146},
		{-0.9787684, 1.9161415, 0.0334540},
		{0.0719453, -0.2289914, 1.4052427}
	};
	double		middle = (lightness + 16) / 116;
	double		xyz[3];

	xyz[0] = 0.96422 * lab_expand(middle + a / 500);
	xyz[1] = lab_expand(middle);
	xyz[2] = 0.82521 * lab_expand(middle - b / 200);
	for (int c = 0; c < 3; c++)
	{
		double		light = matrix[c][0] * xyz[0] + matrix[c][1] * xyz[1] +
			matrix[c][2] * xyz[2];

		if (!(light > 0))
			light = 0;
		if (light > 1)
			light = 1;
		rgb[c] = converter->curve[(int) (light * LAB_CURVE_STEPS + 0.5)];
	}
}
