/** Signatures of images as they travel between our programs and lie in the database. */
#ifndef HULL_TYPES_SIGNATURE_H
#define HULL_TYPES_SIGNATURE_H

#include "base/json.h"

enum {
    SIGNATURES_MAX = 64,              /* that are looked at, of an image */
    SIGNATURE_PAYLOAD_MAX = 32 << 10, /* bytes of a payload */
    SIGNATURE_BYTES_MAX = 4 << 10,    /* bytes of a signature */
};

/* payload: what was signed, byte for byte; signature: of its signer. Both in base64. */
#define IMAGE_SIGNATURE(T, F)        \
    F(T, str, payload, "payload", 0) \
    F(T, str, signature, "signature", 0)
JSON_TYPE(image_signature, IMAGE_SIGNATURE)

#define IMAGE_SIGNATURES(T, F) F(T, list, signatures, "signatures", JSON_EMPTY, image_signature)
JSON_TYPE(image_signatures, IMAGE_SIGNATURES)

#endif
