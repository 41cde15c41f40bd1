/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The differences between PostgreSQL 15 and 18, in one place.
 *
 * To be included after postgres.h and the headers whose names it fills in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDIASTORE_COMPAT_H
#define MEDIASTORE_COMPAT_H

#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "mediastore needs PostgreSQL 15 or later"
#endif

/* 16: the macros for varlena values got a header of their own */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16: "extra" of a setting is allocated by guc_malloc, before by malloc */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size) malloc(size)
#endif

/* 16: one function asks for the owner of objects of any kind, one for the rights */
#if PG_VERSION_NUM >= 160000
#define relation_ownercheck(oid, role) object_ownercheck(RelationRelationId, oid, role)
#define namespace_aclcheck(oid, role, mode) object_aclcheck(NamespaceRelationId, oid, role, mode)
#define foreign_server_aclcheck(oid, role, mode) object_aclcheck(ForeignServerRelationId, oid, role, mode)
#define database_ownercheck(oid, role) object_ownercheck(DatabaseRelationId, oid, role)
#else
#define relation_ownercheck(oid, role) pg_class_ownercheck(oid, role)
#define namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#define foreign_server_aclcheck(oid, role, mode) pg_foreign_server_aclcheck(oid, role, mode)
#define database_ownercheck(oid, role) pg_database_ownercheck(oid, role)
#endif

/* 15.4: a database whose DROP was interrupted is marked */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB (-2)
#endif

/* 17: extensions can name their wait events */
#if PG_VERSION_NUM >= 170000
#define mediastore_wait_event_new(name) WaitEventExtensionNew(name)
#else
#define mediastore_wait_event_new(name) PG_WAIT_EXTENSION
#endif

/* 18: a scan can be counted, and a deferrable key asked for */
#if PG_VERSION_NUM >= 180000
#define mediastore_index_beginscan(relation, index, snapshot, count) \
	index_beginscan(relation, index, snapshot, NULL, count, 0)
#define mediastore_primary_key_index(relation) RelationGetPrimaryKeyIndex(relation, false)
#else
#define mediastore_index_beginscan(relation, index, snapshot, count) \
	index_beginscan(relation, index, snapshot, count, 0)
#define mediastore_primary_key_index(relation) RelationGetPrimaryKeyIndex(relation)
#endif

/* 18: a module can tell its name and version */
#ifdef PG_MODULE_MAGIC_EXT
#define MEDIASTORE_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "mediastore", .version = "0.1.0")
#else
#define MEDIASTORE_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif							/* MEDIASTORE_COMPAT_H */
