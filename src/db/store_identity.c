/*-------------------------------------------------------------------------
 *
 * store_identity.c
 *	  Which database this is, among the copies there may be of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"

#include "store_identity.h"

void
store_identity(StoreIdentity *identity)
{
	TimeLineID	timeline;

	if (RecoveryInProgress())
		(void) GetXLogReplayRecPtr(&timeline);
	else
		timeline = GetWALInsertionTimeLine();

	identity->system_identifier = (int64) GetSystemIdentifier();
	identity->database = MyDatabaseId;
	identity->timeline = (int32) timeline;
}

StoreStanding
store_standing(const StoreIdentity *adopted, const StoreIdentity *now)
{
	if (adopted->system_identifier != now->system_identifier || adopted->database != now->database)
		return STORE_FOREIGN;
	return adopted->timeline == now->timeline ? STORE_OURS : STORE_RECOVERED;
}
