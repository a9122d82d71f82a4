/* Field tables of exec: see exec.h. */
#include "types/exec.h"

JSON_DESC(exec_create, EXEC_CREATE)
JSON_DESC(id_reply, ID_REPLY)
JSON_DESC(exec_start, EXEC_START)
JSON_DESC(exec_process, EXEC_PROCESS)
JSON_DESC(exec_inspect, EXEC_INSPECT)
