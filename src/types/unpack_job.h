/**
 * The jobs of hull-unpack and their results. The job travels as JSON in a memfd (sys/job.h), with
 * the descriptors that each operation lists, in this order, behind it:
 *
 *   op        descriptors             does                                           result
 *   apply     root dir, input         layer tar (any compression) into the directory unpack_result
 *   pack      root dir, output        the tree as a tar                              unpack_result
 *   diff      upper dir, output       an overlay upper as a layer tar                unpack_result
 *   cp-out    root dir, output        `path` as Docker's archive GET sends it        unpack_result
 *   cp-in     root dir, input         Docker's archive PUT into directory `path`     unpack_result
 *   stat      root dir                nothing but the result                         path_stat
 *   read-tar  input                   asks for each regular member where it goes     unpack_result
 *   write-tar output                  asks for each member's bytes                   unpack_result
 *
 * read-tar asks `archive_member`; the parent answers with a descriptor to write to, or none to skip
 * it. write-tar has its members in the job; for each regular one it asks `archive_member` and gets
 * a descriptor to read from. See sys/job.h for asking.
 */
#ifndef HULL_TYPES_UNPACK_JOB_H
#define HULL_TYPES_UNPACK_JOB_H

#include "base/json.h"

/* A member of an archive. type: "file", "dir", "link" (symbolic), "hardlink". */
#define ARCHIVE_MEMBER(T, F)                                      \
    F(T, str, name, "name", 0)                                    \
    F(T, str, type, "type", 0)                                    \
    F(T, i64, size, "size", JSON_OMITEMPTY) /* bytes */           \
    F(T, i64, mode, "mode", JSON_OMITEMPTY) /* permission bits */ \
    F(T, str, target, "target", JSON_OMITEMPTY)
JSON_TYPE(archive_member, ARCHIVE_MEMBER)

#define UNPACK_JOB(T, F)                                                                           \
    F(T, str, op, "op", 0)                                                                         \
    F(T, bool, follow, "follow", JSON_OMITEMPTY) /* apply: the input is a file that grows; "more"  \
                                                    notices tell how far (unpack_notice) */        \
    F(T, bool, merged, "merged", JSON_OMITEMPTY) /* apply: the directory is a mounted overlay of   \
                                                    all lower layers: whiteouts are deletions */   \
    F(T, bool, userns, "userns", JSON_OMITEMPTY) /* as root of a user namespace: files have the    \
                                                    ids that they have in there (job.h) */         \
    F(T, bool, owner, "owner", JSON_OMITEMPTY)   /* apply: first copy owner and mode of the root   \
                                                    entry itself */                                \
    F(T, str, path, "path", JSON_OMITEMPTY)      /* cp-*, stat: as the user gave it */             \
    F(T, str, name, "name",                                                                        \
      JSON_OMITEMPTY) /* cp-*: what the first part of each entry's path becomes */                 \
    F(T, str, compression, "compression", JSON_OMITEMPTY) /* pack, diff: "gzip", "zstd" or none */ \
    F(T, bool, no_overwrite_dir_non_dir, "noOverwriteDirNonDir", JSON_OMITEMPTY)                   \
    F(T, opt_i64, uid, "uid",                                                                      \
      JSON_OMITEMPTY) /* cp-in with copyUIDGID: owner of what is written */                        \
    F(T, opt_i64, gid, "gid", JSON_OMITEMPTY)                                                      \
    F(T, i64, max_bytes, "maxBytes", JSON_OMITEMPTY)     /* inflated; 0: 64 GiB */                 \
    F(T, i64, max_entries, "maxEntries", JSON_OMITEMPTY) /* 0: 4 million */                        \
    F(T, str, mount_dir, "mountDir",                                                               \
      JSON_OMITEMPTY) /* instead of the root dir descriptor: an overlay is mounted in */           \
    F(T, str, mount_data, "mountData",                                                             \
      JSON_OMITEMPTY) /* hull-unpack's own mount namespace, with these options relative to */      \
                      /* mount_dir */                                                              \
    F(T, strv, opaque, "opaque", JSON_OMITEMPTY) /* diff: directories that overlay marks opaque */ \
    F(T, list, members, "members", JSON_OMITEMPTY, archive_member)
JSON_TYPE(unpack_job, UNPACK_JOB)

/* From the parent while an apply job with `follow` runs: bytes 0..size of the input are there. */
#define UNPACK_NOTICE(T, F)    \
    F(T, i64, size, "size", 0) \
    F(T, bool, end, "end", JSON_OMITEMPTY)
JSON_TYPE(unpack_notice, UNPACK_NOTICE)

#define UNPACK_RESULT(T, F)                                                                      \
    F(T, str, digest, "digest", JSON_OMITEMPTY) /* of the uncompressed tar: apply, pack, diff */ \
    F(T, i64, size, "size", JSON_OMITEMPTY)     /* bytes of the uncompressed tar */              \
    F(T, i64, entries, "entries", JSON_OMITEMPTY)                                                \
    F(T, strv, opaque, "opaque", JSON_OMITEMPTY)   /* apply: directories to be marked opaque */  \
    F(T, strv, implied, "implied", JSON_OMITEMPTY) /* apply: parents that no entry described,    \
                                                      outermost first */                         \
    F(T, bool, needs_merge, "needsMerge", JSON_OMITEMPTY) /* apply: an entry depends on a lower  \
                                                             layer; apply again with `merged` */ \
    F(T, str, reason, "reason", JSON_OMITEMPTY)
JSON_TYPE(unpack_result, UNPACK_RESULT)

/* The base64 JSON in X-Docker-Container-Path-Stat; mode in the bits of Go's os.FileMode. */
#define PATH_STAT(T, F)           \
    F(T, str, name, "name", 0)    \
    F(T, i64, size, "size", 0)    \
    F(T, u64, mode, "mode", 0)    \
    F(T, time, mtime, "mtime", 0) \
    F(T, str, link_target, "linkTarget", 0)
JSON_TYPE(path_stat, PATH_STAT)

#endif
