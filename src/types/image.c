/* Field tables of images: see image.h. */
#include "types/image.h"

JSON_DESC(image_summary, IMAGE_SUMMARY)
JSON_DESC(image_rootfs, IMAGE_ROOTFS)
JSON_DESC(image_metadata, IMAGE_METADATA)
JSON_DESC(image_inspect, IMAGE_INSPECT)
JSON_DESC(image_history, IMAGE_HISTORY)
JSON_DESC(image_deleted, IMAGE_DELETED)
JSON_DESC(images_pruned, IMAGES_PRUNED)
JSON_DESC(progress_detail, PROGRESS_DETAIL)
JSON_DESC(progress_error, PROGRESS_ERROR)
JSON_DESC(progress_line, PROGRESS_LINE)
JSON_DESC(pushed, PUSHED)
JSON_DESC(pushed_instead, PUSHED_INSTEAD)
