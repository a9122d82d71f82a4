#include "types/signature.h"

JSON_DESC(image_signature, IMAGE_SIGNATURE)
JSON_DESC(image_signatures, IMAGE_SIGNATURES)
