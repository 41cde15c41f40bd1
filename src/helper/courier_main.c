/*-------------------------------------------------------------------------
 *
 * courier_main.c
 *	  mediastore-courier: the program that speaks to stores.
 *
 *-------------------------------------------------------------------------
 */
#include "courier.h"

int
main(int argc, char **argv)
{
	return courier_run(argc, argv);
}
