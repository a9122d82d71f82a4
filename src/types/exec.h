/** Exec in the Engine API. Source: Engine API 1.51, ExecConfig, ExecStartConfig,
 * ExecInspectResponse. */
#ifndef HULL_TYPES_EXEC_H
#define HULL_TYPES_EXEC_H

#include "base/json.h"

/* POST /containers/{id}/exec */
#define EXEC_CREATE(T, F)                                   \
    F(T, str, user, "User", 0)                              \
    F(T, bool, privileged, "Privileged", 0)                 \
    F(T, bool, tty, "Tty", 0)                               \
    F(T, i64v, console_size, "ConsoleSize", JSON_OMITEMPTY) \
    F(T, bool, attach_stdin, "AttachStdin", 0)              \
    F(T, bool, attach_stderr, "AttachStderr", 0)            \
    F(T, bool, attach_stdout, "AttachStdout", 0)            \
    F(T, str, detach_keys, "DetachKeys", 0)                 \
    F(T, strv, env, "Env", 0)                               \
    F(T, str, working_dir, "WorkingDir", 0)                 \
    F(T, strv, cmd, "Cmd", JSON_ONE_OR_MANY)
JSON_TYPE(exec_create, EXEC_CREATE)

#define ID_REPLY(T, F) F(T, str, id, "Id", 0)
JSON_TYPE(id_reply, ID_REPLY)

/* POST /exec/{id}/start */
#define EXEC_START(T, F)            \
    F(T, bool, detach, "Detach", 0) \
    F(T, bool, tty, "Tty", 0)       \
    F(T, i64v, console_size, "ConsoleSize", JSON_OMITEMPTY)
JSON_TYPE(exec_start, EXEC_START)

#define EXEC_PROCESS(T, F)                                   \
    F(T, bool, tty, "tty", 0)                                \
    F(T, str, entrypoint, "entrypoint", 0)                   \
    F(T, strv, arguments, "arguments", JSON_EMPTY)           \
    F(T, opt_bool, privileged, "privileged", JSON_OMITEMPTY) \
    F(T, str, user, "user", JSON_OMITEMPTY)
JSON_TYPE(exec_process, EXEC_PROCESS)

/* GET /exec/{id}/json; detach_keys is base64 */
#define EXEC_INSPECT(T, F)                               \
    F(T, str, id, "ID", 0)                               \
    F(T, bool, running, "Running", 0)                    \
    F(T, opt_i64, exit_code, "ExitCode", 0)              \
    F(T, val, process, "ProcessConfig", 0, exec_process) \
    F(T, bool, open_stdin, "OpenStdin", 0)               \
    F(T, bool, open_stderr, "OpenStderr", 0)             \
    F(T, bool, open_stdout, "OpenStdout", 0)             \
    F(T, bool, can_remove, "CanRemove", 0)               \
    F(T, str, container_id, "ContainerID", 0)            \
    F(T, str, detach_keys, "DetachKeys", 0)              \
    F(T, i64, pid, "Pid", 0)
JSON_TYPE(exec_inspect, EXEC_INSPECT)

#endif
