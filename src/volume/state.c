/* The volumes' document; see volume.h. */
#include "volume/volume.h"

JSON_DESC(volume_doc, VOLUME_DOC)
