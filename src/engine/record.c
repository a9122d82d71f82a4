/* The tables of the container documents. */
#include "engine/record.h"

JSON_DESC(mount_record, MOUNT_RECORD)
JSON_DESC(userns_record, USERNS_RECORD)
JSON_DESC(container_record, CONTAINER_RECORD)
JSON_DESC(container_run, CONTAINER_RUN)
