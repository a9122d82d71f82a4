/* Field tables of volumes: see volume.h. */
#include "types/volume.h"

JSON_DESC(volume_usage, VOLUME_USAGE)
JSON_DESC(volume_inspect, VOLUME_INSPECT)
JSON_DESC(volume_create, VOLUME_CREATE)
JSON_DESC(volume_list, VOLUME_LIST)
JSON_DESC(volumes_pruned, VOLUMES_PRUNED)
